//! The subject of a certificate: a URI among its alternative names, `rowhouse://<cluster>/<role>/<name>`.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::TlsError;

const SCHEME: &str = "rowhouse://";
/// Names stand in file names, tables and the cluster's map.
const NAME_BYTES_MAX: usize = 63;

/// The part that a process plays in the cluster; it decides which calls a node takes from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Node,
    Gateway,
    /// An operator's tool.
    Ctl,
}

impl Role {
    /// The role as it stands in a subject's URI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Gateway => "gateway",
            Self::Ctl => "ctl",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A process of a cluster: whom a certificate is about. Its text is the URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    cluster: String,
    role: Role,
    name: String,
}

impl Subject {
    /// Names are 1 to 63 of `A-Z a-z 0-9 - _ .`, and begin with a letter or digit.
    pub fn new(cluster: &str, role: Role, name: &str) -> Result<Self, TlsError> {
        for part in [cluster, name] {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let begins = part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
            if !begins || part.len() > NAME_BYTES_MAX || !part.bytes().all(plain) {
                return Err(TlsError::Name(part.to_owned()));
            }
        }
        Ok(Self { cluster: cluster.to_owned(), role, name: name.to_owned() })
    }

    /// The one subject a certificate names. Says nothing about whether the certificate is to be trusted.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        let parsed = EndEntityCert::try_from(certificate).map_err(TlsError::Certificate)?;
        let mut uris = parsed.valid_uri_names().filter(|uri| uri.starts_with(SCHEME));
        match (uris.next(), uris.next()) {
            (Some(uri), None) => uri.parse(),
            _ => Err(TlsError::NoSubject),
        }
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The part that the process plays.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The process's name, unique within its role.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}/{}", self.cluster, self.role, self.name)
    }
}

impl FromStr for Subject {
    type Err = TlsError;

    fn from_str(uri: &str) -> Result<Self, TlsError> {
        let mut parts = uri.strip_prefix(SCHEME).ok_or(TlsError::NoSubject)?.split('/');
        let (Some(cluster), Some(role), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TlsError::NoSubject);
        };
        let role = [Role::Node, Role::Gateway, Role::Ctl].into_iter().find(|known| known.as_str() == role);
        Self::new(cluster, role.ok_or(TlsError::NoSubject)?, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back_and_nothing_else_is_one() {
        let subject = Subject::new("main", Role::Gateway, "gateway-1").expect("plain names");
        assert_eq!(subject.to_string(), "rowhouse://main/gateway/gateway-1");
        assert_eq!(subject.to_string().parse::<Subject>().expect("its own text"), subject);
        let long = format!("rowhouse://main/node/{}", "n".repeat(64));
        for uri in [
            "https://main/node/n1",
            "rowhouse://main/node",
            "rowhouse://main/node/n1/x",
            "rowhouse://main/admin/n1",
            "rowhouse://main/Node/n1",
            "rowhouse:///node/n1",
            "rowhouse://main/node/",
            "rowhouse://main/node/n%31",
            "rowhouse://main/node/..",
            "rowhouse://main/node/127.0.0.1:1",
            &long,
        ] {
            assert!(uri.parse::<Subject>().is_err(), "{uri}");
        }
    }
}
