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
/// The mode in which a signup spends a token, as nodes spell it.
const TOKEN_SIGNUP: &str = "token_required";

/// Flags of `rowhouse cluster init`.
#[derive(clap::Args, Clone, Debug)]
pub struct InitArgs {
    /// Address of a node, host:port; once for each, at least three (or one, for trying things out).
    #[arg(long = "node", required = true)]
    pub nodes: Vec<String>,
    /// Host and port of a name whose addresses may be nodes of a living cluster. If one is, nothing is founded: for
    /// programs that found clusters unasked, when the first nodes may have lost their disks.
    #[arg(long = "unless", value_name = "HOST:PORT")]
    pub elsewhere: Vec<String>,
    /// Number of shards, a power of two; fixed for the cluster's life.
    #[arg(long, default_value_t = 16)]
    pub shards: u32,
    /// Who may sign up: holders of a signup token (`token_required`), or anybody (`open`). It can be changed later.
    #[arg(long, value_enum, default_value_t = SignupMode::TokenRequired)]
    pub signup_mode: SignupMode,
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

impl SignupMode {
    /// The mode as nodes spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => OPEN_SIGNUP,
            Self::TokenRequired => TOKEN_SIGNUP,
        }
    }
}

/// Makes the cluster, and returns a line for people. Making it again changes nothing.
///
/// Fails on flags that make no sense, and when the cluster does not live within `--timeout-s`.
pub async fn init(args: InitArgs) -> Result<String, Error> {
    check(&args)?;
    let dialer = args.tls.dialer()?;
    let options = InitOptions {
        nodes: args.nodes.clone(),
        elsewhere: args.elsewhere.clone(),
        shards: args.shards,
        signup_mode: args.signup_mode.as_str().to_owned(),
        deadline: Duration::from_secs(args.timeout_s),
        dialer: dialer.clone(),
    };
    let done = match initialize_cluster(options).await {
        Ok(done) => done,
        Err(error) => return Err(explained(&args.nodes, &dialer, &error).await),
    };
    let id = Uuid::from_bytes(done.cluster_id);
    Ok(if done.created {
        format!("cluster {id} made: {} nodes, {} shards", args.nodes.len(), done.shards)
    } else {
        format!("cluster {id} is there already: {} shards", done.shards)
    })
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

/// Refuses flags that make no sense.
fn check(args: &InitArgs) -> Result<(), Error> {
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Init {
        #[command(flatten)]
        args: InitArgs,
    }

    fn args(nodes: &[&str], shards: u32) -> InitArgs {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        let signup_mode = SignupMode::Open;
        InitArgs { nodes, elsewhere: Vec::new(), shards, signup_mode, timeout_s: 1, tls: TlsArgs::default() }
    }

    #[test]
    fn nobody_opens_signups_without_saying_so() {
        let mode = |flags: &[&str]| {
            let parsed = Init::try_parse_from([&["init", "--node", "a:1"], flags].concat());
            parsed.map(|init| init.args.signup_mode.as_str())
        };
        assert_eq!(mode(&[]).unwrap(), "token_required");
        for said in ["open", "token_required"] {
            assert_eq!(mode(&["--signup-mode", said]).unwrap(), said);
            assert!(rowhouse_node::meta::SIGNUP_MODES.contains(&said), "nodes know {said}");
        }
        assert!(mode(&["--signup-mode", "closed"]).is_err());
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
