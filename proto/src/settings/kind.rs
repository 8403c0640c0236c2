//! The values that a key accepts, and their description in words.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::HIDDEN;

/// The form of a key's value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// The path of a file or folder.
    Path,
    /// An IP address and a port.
    Address,
    /// An IP address.
    Ip,
    /// An IP network, as address and length of the prefix.
    Network,
    /// A host, by name or address, and a port.
    HostPort,
    /// A port from 1: there is nobody to choose one.
    Port,
    /// An address that begins with `http://` or `https://`.
    Url,
    /// A domain name without scheme and port.
    Domain,
    /// `true` or `false`.
    Bool,
    /// Text that no message shows.
    Secret,
    /// A whole number.
    Number {
        /// The thing that is counted. The key's name contains it, or its abbreviation.
        unit: &'static str,
        /// The smallest accepted number.
        min: u64,
        /// The largest accepted number.
        max: u64,
    },
    /// Up to [`Kind::LIST_MAX`] values of another kind.
    List(&'static Self),
    /// Up to [`Kind::LIST_MAX`] tables. The text names what they hold; the section itself judges that.
    Tables(&'static str),
}

impl Kind {
    /// Values of a list. Lists name a way in (seeds, relays), not all there are.
    pub const LIST_MAX: usize = 32;
    /// Some nodes.
    pub const HOST_PORTS: Self = Self::List(&Self::HostPort);
    /// Some servers.
    pub const URLS: Self = Self::List(&Self::Url);

    /// A count of `unit`, both bounds included.
    pub const fn number(unit: &'static str, min: u64, max: u64) -> Self {
        Self::Number { unit, min, max }
    }

    /// A number of bytes, both bounds included.
    pub const fn bytes(min: u64, max: u64) -> Self {
        Self::number("bytes", min, max)
    }

    /// A number of seconds, both bounds included.
    pub const fn seconds(min: u64, max: u64) -> Self {
        Self::number("seconds", min, max)
    }

    /// A number of milliseconds, both bounds included.
    pub const fn milliseconds(min: u64, max: u64) -> Self {
        Self::number("milliseconds", min, max)
    }

    /// The thing that a number counts.
    pub fn unit(&self) -> Option<&'static str> {
        match self {
            Self::Number { unit, .. } => Some(unit),
            _ => None,
        }
    }

    /// Whether a value that is text is of this kind.
    pub fn accepts_text(&self, text: &str) -> bool {
        match self {
            _ if text.is_empty() => false,
            Self::Text | Self::Path => true,
            Self::Address => text.parse::<SocketAddr>().is_ok(),
            Self::Ip => text.parse::<IpAddr>().is_ok(),
            Self::Network => text.parse::<IpNet>().is_ok(),
            Self::HostPort => {
                let port = |port: &str| port.parse::<u16>().is_ok();
                text.rsplit_once(':').is_some_and(|(host, end)| !host.is_empty() && port(end))
            }
            Self::Url => ["http://", "https://"]
                .iter()
                .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())),
            Self::Domain => text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.'),
            Self::Secret => text != HIDDEN,
            Self::Port | Self::Bool | Self::Number { .. } | Self::List(_) | Self::Tables(_) => false,
        }
    }

    /// Completes "it must be …".
    pub fn expected(&self) -> String {
        match self {
            Self::Text => "text that is not empty".into(),
            Self::Path => "the path of a file or folder".into(),
            Self::Address => "an IP address and port, such as 127.0.0.1:6301".into(),
            Self::Ip => "an IP address, such as 203.0.113.7".into(),
            Self::Network => "an IP network, such as 10.0.0.0/8".into(),
            Self::HostPort => "host:port, such as node-1.example:6301".into(),
            Self::Port => format!("a port number from 1 to {}", u16::MAX),
            Self::Url => "an address that begins with http:// or https://".into(),
            Self::Domain => "a domain name without scheme and port, such as example.com".into(),
            Self::Bool => "true or false".into(),
            Self::Secret => format!("text, in quotes if in a file, that is neither empty nor {HIDDEN}"),
            Self::Number { unit, min, max } => format!("a whole number of {unit} from {min} to {max}"),
            Self::List(item) => {
                format!("a list of up to {} values, each {}", Self::LIST_MAX, item.expected())
            }
            Self::Tables(content) => format!("a list of up to {} tables with {content}", Self::LIST_MAX),
        }
    }

    /// The column "type" of the reference page.
    pub fn label(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Path => "path".into(),
            Self::Address => "IP:port".into(),
            Self::Ip => "IP address".into(),
            Self::Network => "IP network".into(),
            Self::HostPort => "host:port".into(),
            Self::Port => "port".into(),
            Self::Url => "URL".into(),
            Self::Domain => "domain name".into(),
            Self::Bool => "true, false".into(),
            Self::Secret => format!("text, shown as {HIDDEN}"),
            Self::Number { min, max, .. } => format!("{min} to {max}"),
            Self::List(item) => format!("list of {}", item.label()),
            Self::Tables(_) => "list of tables".into(),
        }
    }
}
