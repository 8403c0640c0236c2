//! Where the API server is and who we are there: the flags, and what Kubernetes gives each pod.

use std::path::{Path, PathBuf};

use super::api::Api;
use crate::error::Error;

/// Where Kubernetes mounts a pod's service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Names of objects and namespaces are at most as long as a DNS name.
const NAME_BYTES_MAX: usize = 253;

/// Flags of both commands.
#[derive(clap::Args, Clone, Debug)]
pub struct ApiArgs {
    /// Namespace of the Secrets.
    #[arg(long, value_name = "NAME", value_parser = object_name)]
    pub namespace: String,
    /// Address of the API server: https://…, or http:// on loopback for `kubectl proxy`. In a pod it is known.
    #[arg(long, value_name = "URL")]
    pub api_server: Option<String>,
    /// Folder with `token` and `ca.crt` of the service account.
    #[arg(long, value_name = "DIR", default_value = SERVICE_ACCOUNT)]
    pub service_account: PathBuf,
}

impl ApiArgs {
    /// A client of the API server. Fails if its address is not known, or if the service account's files are missing.
    pub fn api(&self) -> Result<Api, Error> {
        let base = match &self.api_server {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => in_cluster()
                .ok_or_else(|| Error::Usage("outside of a pod, name the API server: --api-server".into()))?,
        };
        if is_loopback_http(&base) {
            return Api::plain(base, self.namespace.clone());
        }
        if !base.starts_with("https://") {
            return Err(Error::Usage(format!(
                "{base}: beyond loopback the API server is asked over https:// only"
            )));
        }
        let (token, authorities) = (self.read("token")?, self.read("ca.crt")?);
        if token.trim().is_empty() {
            // The API server would take us for nobody, and its refusal would lead nowhere.
            return Err(Error::NotYet(format!("{} is empty", self.service_account.join("token").display())));
        }
        Api::secured(base, self.namespace.clone(), token.trim(), authorities.as_bytes())
    }

    fn read(&self, file: &str) -> Result<String, Error> {
        let path = self.service_account.join(file);
        read(&path)
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let missing = |error| {
        let path = path.display();
        Error::NotYet(format!("{path}: {error}; does the pod have a service account whose token is mounted?"))
    };
    std::fs::read_to_string(path).map_err(missing)
}

/// For clap: a name that cannot leave its place in an address.
pub fn object_name(name: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    match begins && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain) {
        true => Ok(name.to_owned()),
        false => Err("names of Kubernetes objects have lower case letters, digits, - and .".to_owned()),
    }
}

fn in_cluster() -> Option<String> {
    let host = std::env::var("KUBERNETES_SERVICE_HOST").ok()?;
    let port = std::env::var("KUBERNETES_SERVICE_PORT").unwrap_or_else(|_| "443".to_owned());
    Some(if host.contains(':') {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    })
}

/// The user's own `kubectl proxy` needs neither TLS nor a token.
fn is_loopback_http(base: &str) -> bool {
    let Some(rest) = base.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _port)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_never_sent_in_plain_text() {
        for (base, plain) in [
            ("http://127.0.0.1:8001", true),
            ("http://localhost:1/", true),
            ("http://[::1]:8001", true),
            ("http://10.0.0.1:8001", false),
            ("http://localhost.example.org", false),
            ("http://127.0.0.1.example.org:80", false),
            ("https://127.0.0.1:1", false),
        ] {
            assert_eq!(is_loopback_http(base), plain, "{base}");
        }
        let args = ApiArgs {
            namespace: "default".into(),
            api_server: Some("http://10.0.0.1:8080".into()),
            service_account: "/nowhere".into(),
        };
        let error = args.api().err().map(|error| error.exit_code());
        assert_eq!(error, Some(crate::error::EXIT_USAGE));
    }

    #[test]
    fn names_stay_in_their_place() {
        assert!(object_name("rowhouse-ca").is_ok() && object_name("a.b").is_ok());
        for wrong in ["", "../pods", "a/b", "A", "-a", "a?b", &"a".repeat(254)] {
            assert!(object_name(wrong).is_err(), "{wrong}");
        }
    }
}
