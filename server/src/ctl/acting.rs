//! An operator at a running cluster: what `ctl token`, `ctl user`, `ctl cluster settings` and `ctl audit` ask with.
//! What they change is recorded under the name of the certificate, or of who runs the command.

use std::os::unix::fs::MetadataExt;

use rowhouse_gateway::operator::Operator;
use rowhouse_proto::{ErrorCode, Refusal};

use super::args::Access;
use super::client::NodeClient;
use crate::error::Error;

/// Ready to ask. `action` is the command, for the records.
///
/// Fails if the node does not answer or belongs to no cluster.
pub async fn operator(access: &Access, action: &str) -> Result<Operator, Error> {
    let dialer = access.tls.dialer()?;
    let map = NodeClient::connect(&access.node, &dialer, None).await?.map().await?;
    let certified = dialer.certificates().map(|certificates| certificates.subject().name().to_owned());
    let who = format!("ctl@{}", certified.unwrap_or_else(host_user));
    Operator::over(&map, &access.node, dialer, &who, action).map_err(|error| Error::Failed(error.to_string()))
}

/// A refusal as the end of the command: what the flags say wrongly is a usage error.
pub fn refused(refusal: Refusal) -> Error {
    match refusal.code {
        ErrorCode::InvalidQuota
        | ErrorCode::InvalidPublicKey
        | ErrorCode::InvalidParameter
        | ErrorCode::UnknownCursor => Error::Usage(refusal.to_string()),
        _ => Error::Failed(refusal.to_string()),
    }
}

/// As the shell has it, else the number that the system has; without certificates there is no other name.
fn host_user() -> String {
    let named = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let numbered = || std::fs::metadata("/proc/self").map(|process| format!("uid-{}", process.uid()));
    named.or_else(|| numbered().ok()).unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{EXIT_FAILED, EXIT_USAGE};

    #[test]
    fn what_flags_say_wrongly_is_a_usage_error() {
        for (code, exit) in [
            (ErrorCode::UnknownCursor, EXIT_USAGE),
            (ErrorCode::InvalidPublicKey, EXIT_USAGE),
            (ErrorCode::NotFound, EXIT_FAILED),
            (ErrorCode::Unavailable, EXIT_FAILED),
        ] {
            assert_eq!(refused(code.into()).exit_code(), exit, "{code:?}");
        }
        assert_eq!(refused(Refusal::new(ErrorCode::InvalidQuota, "why")).to_string(), "why");
    }
}
