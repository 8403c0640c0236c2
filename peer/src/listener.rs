//! Which listeners may be reached from other machines: the only rule about it, for settings and for starting processes.

use std::net::SocketAddr;

/// For whom a process listens, and what guards that listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Programs of users. They meet the homeserver's own key and prove who they are request by request.
    Clients,
    /// Nodes, gateways and operators' tools, which certificates alone tell from strangers.
    Peers {
        /// Whether the listener demands certificates.
        mtls: bool,
    },
    /// The admin API: plain HTTP and one password.
    Admin {
        /// The operator says that a proxy encrypts, and lets nobody else in.
        behind_proxy: bool,
    },
}

/// The offence of a listener that other machines could reach and must not, a sentence that says what to do. `key` is
/// the setting that has the address. An address is of this machine alone only if it is one of loopback.
pub fn exposure(key: &str, address: SocketAddr, audience: Audience) -> Option<String> {
    let advice = match audience {
        _ if address.ip().is_loopback() => return None,
        Audience::Clients | Audience::Peers { mtls: true } | Audience::Admin { behind_proxy: true } => {
            return None;
        }
        Audience::Peers { mtls: false } => {
            "without mTLS nobody is authenticated: make certificates with `rowhouse ctl certs create`, then set all \
             of [tls] (--tls-cert, --tls-key, --tls-ca), or listen on a loopback address"
        }
        Audience::Admin { behind_proxy: false } => {
            "it speaks plain HTTP, so the password would cross the network readable: listen on a loopback address \
             and put a proxy with TLS before it, or, if one stands before this address and nobody else reaches it, \
             set `admin.behind_proxy` (--admin-behind-proxy)"
        }
    };
    Some(format!("`{key}` is {address}, which other machines can reach, and {advice}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARDED: [Audience; 3] =
        [Audience::Clients, Audience::Peers { mtls: true }, Audience::Admin { behind_proxy: true }];
    const UNGUARDED: [(Audience, &str); 2] = [
        (Audience::Peers { mtls: false }, "rowhouse ctl certs create"),
        (Audience::Admin { behind_proxy: false }, "--admin-behind-proxy"),
    ];

    #[test]
    fn every_audience_meets_every_kind_of_address() {
        for (address, reachable) in [
            ("127.0.0.1:1", false),
            ("127.9.9.9:1", false),
            ("[::1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("192.0.2.1:1", true),
            ("[2001:db8::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
        ] {
            let at: SocketAddr = address.parse().expect("an address");
            for audience in GUARDED {
                assert_eq!(exposure("a.b", at, audience), None, "{audience:?} at {address}");
            }
            for (audience, advice) in UNGUARDED {
                let offence = exposure("a.b", at, audience);
                assert_eq!(offence.is_some(), reachable, "{audience:?} at {address}");
                let says = |text: String| text.contains(&format!("`a.b` is {at}")) && text.contains(advice);
                assert!(offence.is_none_or(says), "{audience:?} at {address}");
            }
        }
    }
}
