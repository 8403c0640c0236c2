//! `rowhouse cluster init`: explicit and once, never by ordinal or emptiness
//! (docs/rules/consensus.md#a-cluster-is-initialized-once).
//!
//! The steps belong to the node crate. Here are the flags, and the refusals that need no node.

use std::collections::BTreeSet;
use std::time::Duration;

use rowhouse_node::init::{InitOptions, initialize_cluster};
use rowhouse_node::meta::OPEN_SIGNUP;
use rowhouse_peer::Dialer;
use uuid::Uuid;

use super::client::NodeClient;
use crate::certificates::TlsArgs;
use crate::error::Error;

/// Event ids spend 12 bits on the shard.
const SHARDS_MAX: u32 = 4_096;

/// Flags of `rowhouse cluster init`.
#[derive(clap::Args, Clone, Debug)]
pub struct InitArgs {
    /// Address of a node, host:port; once for each, at least three (or one, for trying things out).
    #[arg(long = "node", required = true)]
    pub nodes: Vec<String>,
    /// Number of shards, a power of two; fixed for the cluster's life.
    #[arg(long, default_value_t = 16)]
    pub shards: u32,
    /// Who may sign up: so far anybody (`open`), and that must be said, because there are no signup tokens yet.
    #[arg(long, value_enum)]
    pub signup_mode: Option<SignupMode>,
    /// Give up when the cluster does not live after this many seconds; doing it again is harmless.
    #[arg(long, default_value_t = 60)]
    pub timeout_s: u64,
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Who may sign up: anybody, or holders of a signup token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SignupMode {
    Open,
    #[value(name = "token_required", alias = "token-required")]
    TokenRequired,
}

/// Makes the cluster, and returns a line for people. Making it again changes nothing.
///
/// Fails on flags that make no sense, and when the cluster does not live within `--timeout-s`.
pub async fn init(args: InitArgs) -> Result<String, Error> {
    let signup_mode = check(&args)?;
    let dialer = args.tls.dialer()?;
    let options = InitOptions {
        nodes: args.nodes.clone(),
        shards: args.shards,
        signup_mode: signup_mode.to_owned(),
        deadline: Duration::from_secs(args.timeout_s),
        dialer: dialer.clone(),
    };
    let done = match initialize_cluster(options).await {
        Ok(done) => done,
        Err(error) => return Err(explained(&args.nodes, &dialer, &error).await),
    };
    let id = Uuid::from_bytes(done.cluster_id);
    let what = if done.created { "made" } else { "is there already" };
    Ok(format!("cluster {id} {what}: {} nodes, {} shards", args.nodes.len(), done.shards))
}

/// A node that answers nothing at all says more when it is asked by itself.
async fn explained(nodes: &[String], dialer: &Dialer, error: &rowhouse_node::Error) -> Error {
    for address in nodes {
        let asked = async { NodeClient::connect(address, dialer, None).await?.status().await };
        if let Err(why) = asked.await {
            return Error::Failed(format!("{error}; {why}"));
        }
    }
    Error::Failed(error.to_string())
}

/// The signup mode as nodes spell it. Refuses flags that make no sense.
fn check(args: &InitArgs) -> Result<&'static str, Error> {
    let distinct: BTreeSet<&String> = args.nodes.iter().collect();
    if distinct.len() != args.nodes.len() {
        return Err(Error::Usage("a node is named twice".into()));
    }
    if args.nodes.len() == 2 {
        return Err(Error::Usage("two nodes survive no loss: name one, or at least three".into()));
    }
    if !args.shards.is_power_of_two() || args.shards > SHARDS_MAX {
        return Err(Error::Usage(format!("--shards must be a power of two up to {SHARDS_MAX}")));
    }
    match args.signup_mode {
        Some(SignupMode::Open) => Ok(OPEN_SIGNUP),
        Some(SignupMode::TokenRequired) | None => Err(Error::Usage(
            "signup tokens are not there yet, so everybody who reaches a gateway can sign up: pass --signup-mode open \
             to say that this is what you want"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(nodes: &[&str], shards: u32) -> InitArgs {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        let signup_mode = Some(SignupMode::Open);
        InitArgs { nodes, shards, signup_mode, timeout_s: 1, tls: TlsArgs::default() }
    }

    #[test]
    fn nobody_opens_signups_without_saying_so() {
        for mode in [None, Some(SignupMode::TokenRequired)] {
            let error = check(&InitArgs { signup_mode: mode, ..args(&["a:1"], 1) }).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::EXIT_USAGE);
            assert!(error.to_string().contains("--signup-mode open"), "{error}");
        }
        assert_eq!(check(&args(&["a:1"], 1)).unwrap(), "open");
    }

    #[test]
    fn senseless_clusters_are_refused() {
        assert!(check(&args(&["a:1", "b:1", "c:1"], 16)).is_ok());
        assert!(check(&args(&["a:1"], 1)).is_ok());
        assert!(check(&args(&["a:1", "b:1"], 16)).is_err());
        assert!(check(&args(&["a:1", "a:1", "c:1"], 16)).is_err());
        for shards in [0, 3, 8_192] {
            assert!(check(&args(&["a:1"], shards)).is_err(), "{shards}");
        }
    }
}
