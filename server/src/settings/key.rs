//! One key: where it stands, what it may be, what it means.

use figment::value::Value;

/// Seeds and relays are a way in, not a list of all there are.
const LIST_MAX: usize = 32;
/// What stands where a secret would.
pub const HIDDEN: &str = "(hidden)";
/// Every environment variable that may name a key begins so.
pub const PREFIX: &str = "ROWHOUSE_";
/// Parts the section from the key in a variable; without it a variable is no key.
pub const PARTING: &str = "__";

pub struct Key {
    /// `section.name`.
    pub path: &'static str,
    pub kind: Kind,
    pub absent: Absent,
    pub flag: Option<&'static str>,
    pub meaning: &'static str,
}

/// What happens when no layer names the key.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// The process does not start; this is an example of a value.
    Refused(&'static str),
    /// The settings struct has a value.
    Default,
    /// There is no value, and that means this.
    Means(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Text,
    Path,
    /// IP address and port.
    Address,
    Ip,
    HostPort,
    Port,
    Url,
    Domain,
    Bool,
    Secret,
    Number {
        unit: &'static str,
        min: u64,
        max: u64,
    },
    List(&'static Self),
}

pub const fn key(path: &'static str, kind: Kind, meaning: &'static str) -> Key {
    Key { path, kind, absent: Absent::Default, flag: None, meaning }
}

impl Key {
    pub const fn required(mut self, example: &'static str) -> Self {
        self.absent = Absent::Refused(example);
        self
    }

    pub const fn unset(mut self, means: &'static str) -> Self {
        self.absent = Absent::Means(means);
        self
    }

    pub const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    pub fn section(&self) -> &'static str {
        self.path.split_once('.').map_or("", |(section, _)| section)
    }

    pub fn name(&self) -> &'static str {
        self.path.split_once('.').map_or(self.path, |(_, name)| name)
    }

    /// The environment variable of this key.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.path.replace('.', PARTING).to_uppercase())
    }
}

impl Kind {
    /// Text of an environment variable as a value. What does not fit stays text, for `accepts` to refuse.
    pub fn read(&self, text: &str) -> Value {
        match self {
            Self::Number { .. } | Self::Port => {
                text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
            }
            Self::Bool => text.parse::<bool>().map_or_else(|_| Value::from(text), Value::from),
            Self::List(_) if text.is_empty() => Value::from(Vec::<String>::new()),
            Self::List(item) => Value::from(text.split(',').map(|part| item.read(part)).collect::<Vec<_>>()),
            _ => Value::from(text),
        }
    }

    pub fn accepts(&self, value: &Value) -> bool {
        // figment keeps TOML's numbers signed.
        let number =
            value.to_u128().or_else(|| value.to_i128().and_then(|number| u128::try_from(number).ok()));
        let within = |min: u64, max: u64| {
            number.is_some_and(|number| (u128::from(min)..=u128::from(max)).contains(&number))
        };
        match self {
            Self::Number { min, max, .. } => within(*min, *max),
            Self::Port => within(1, u64::from(u16::MAX)),
            Self::Bool => value.to_bool().is_some(),
            Self::List(item) => value.as_array().is_some_and(|items| {
                items.len() <= LIST_MAX && items.iter().all(|value| item.accepts(value))
            }),
            _ => value.as_str().is_some_and(|text| !text.is_empty() && self.accepts_text(text)),
        }
    }

    fn accepts_text(&self, text: &str) -> bool {
        match self {
            Self::Address => text.parse::<std::net::SocketAddr>().is_ok(),
            Self::Ip => text.parse::<std::net::IpAddr>().is_ok(),
            Self::HostPort => {
                let port = |port: &str| port.parse::<u16>().is_ok();
                text.rsplit_once(':').is_some_and(|(host, end)| !host.is_empty() && port(end))
            }
            Self::Url => ["http://", "https://"]
                .iter()
                .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty())),
            Self::Domain => text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.'),
            Self::Secret => text != HIDDEN,
            _ => true,
        }
    }

    /// Completes "it must be …".
    pub fn expected(&self) -> String {
        match self {
            Self::Text => "text that is not empty".into(),
            Self::Path => "the path of a file or folder".into(),
            Self::Address => "an IP address and port, such as 127.0.0.1:6301".into(),
            Self::Ip => "an IP address, such as 203.0.113.7".into(),
            Self::HostPort => "host:port, such as node-1.example:6301".into(),
            Self::Port => format!("a port number from 1 to {}", u16::MAX),
            Self::Url => "an address that begins with http:// or https://".into(),
            Self::Domain => "a domain name without scheme and port, such as example.com".into(),
            Self::Bool => "true or false".into(),
            Self::Secret => format!("text, in quotes if in a file, that is neither empty nor {HIDDEN}"),
            Self::Number { unit, min, max } => format!("a whole number of {unit} from {min} to {max}"),
            Self::List(item) => format!("a list of up to {LIST_MAX} values, each {}", item.expected()),
        }
    }

    pub fn unit(&self) -> Option<&'static str> {
        match self {
            Self::Number { unit, .. } => Some(unit),
            _ => None,
        }
    }
}
