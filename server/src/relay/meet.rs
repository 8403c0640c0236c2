//! The HTTP relay: a rendezvous between an app and a signer, `/inbox/` and `/link/`. Its state is its process's: one of
//! them runs at a time.

use std::net::SocketAddr;

use http_relay::HttpRelay;
use rowhouse_proto::causes;

use crate::error::Error;
use crate::signals::Stop;

/// Flags of `rowhouse http-relay`.
#[derive(clap::Args, Clone, Debug)]
pub struct HttpRelayArgs {
    /// Address to listen on. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:15412")]
    pub listen: SocketAddr,
    /// Largest body in bytes; an encrypted token has a few hundred.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub body_bytes_max: u32,
    /// Messages kept at a time; beyond them the oldest one goes. Each lives 5 minutes.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub messages_max: u32,
}

/// Runs until a signal asks it to stop. Fails if the address is taken.
pub async fn run(args: HttpRelayArgs) -> Result<(), Error> {
    let mut stop = Stop::listen()?;
    let relay = start(&args).await.map_err(|why| Error::Failed(format!("{}: {why}", args.listen)))?;
    tracing::info!(address = %relay.http_address(), "the HTTP relay answers");
    stop.requested().await;
    relay.shutdown().await.map_err(|error| Error::Failed(format!("cannot stop the HTTP relay: {error}")))
}

/// Starts one. Pages of any origin may use it, as apps run in browsers.
pub async fn start(args: &HttpRelayArgs) -> Result<HttpRelay, String> {
    let started = HttpRelay::builder()
        .bind_address(args.listen.ip())
        .http_port(args.listen.port())
        .max_body_size(args.body_bytes_max as usize)
        .max_entries(args.messages_max as usize)
        .cors_allow_all(true)
        .run()
        .await;
    started.map_err(|error| causes(error.as_ref()))
}
