//! The ports of the local network: flags of `rowhouse testnet`, and of `rowhouse dev`, which starts one.

/// Each default is that of the reference testnet's clients. Port 0 lets the system choose.
#[derive(clap::Args, Clone, Debug)]
pub struct TestnetPorts {
    /// UDP port of the DHT node clients bootstrap from; 0 lets the system choose.
    #[arg(long, default_value_t = 6881)]
    pub dht_port: u16,
    /// Port of the pkarr relay; 0 lets the system choose.
    #[arg(long, default_value_t = 15411)]
    pub pkarr_relay_port: u16,
    /// Port of the HTTP relay; 0 lets the system choose.
    #[arg(long, default_value_t = 15412)]
    pub http_relay_port: u16,
}
