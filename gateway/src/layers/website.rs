//! Which requests are for a user's website (docs/rules/protocol.md#websites): told by method, first path segment and
//! Host alone. `routes/website.rs` answers them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HOST, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method};
use percent_encoding::percent_decode_str;
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::{ErrorCode, Refusal};

use super::known_keys::{self, KEY_CHARS};
use super::tenant::Target;
use crate::respond::Rejection;

/// First segments, as they stand in the request, that are never a website's. The protocol has all but the last two, which
/// are kept for the clients' WebDAV.
const RESERVED: [&str; 12] = [
    "auth",
    "events",
    "events-stream",
    "info",
    "priv",
    "pub",
    "session",
    "signup",
    "signup_tokens",
    "storage",
    "dav",
    "drive",
];
/// The folder of a user's websites.
const SITES: &str = "/pub/website";
/// The site of the key itself. No label can have this name.
const MAIN_SITE: &str = "_";
/// Longest label of a host name (RFC 1123).
const LABEL_CHARS_MAX: usize = 63;
const INDEX: &str = "index.html";
const NOT_FOUND: &str = "404.html";
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// Which hosts have websites.
pub struct WebsiteHosts {
    served: bool,
    /// In z-base-32: the homeserver itself has none.
    homeserver: String,
}

impl WebsiteHosts {
    /// Without `served` no host has one.
    pub fn new(served: bool, homeserver: &PublicKey) -> Self {
        Self { served, homeserver: homeserver.z32() }
    }

    /// The website that is asked for; `None` if the request is for none. Refuses a path that no file can have.
    pub fn find<B>(&self, request: &http::Request<B>) -> Result<Option<Website>, Refusal> {
        if !self.served || !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(None);
        }
        let raw = request.uri().path();
        let first = raw.strip_prefix('/').unwrap_or(raw).split('/').next().unwrap_or_default();
        if RESERVED.contains(&first) {
            return Ok(None);
        }
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let Some((user, label)) = host.or_else(|| request.uri().host()).and_then(|host| self.owner(host))
        else {
            return Ok(None);
        };
        Website::new(user, &label, raw).map(Some)
    }

    /// The user of a host, and the label of the site.
    fn owner(&self, host: &str) -> Option<(PublicKey, String)> {
        let name = host.split_once(':').map_or(host, |(name, _port)| name);
        let name = name.strip_suffix('.').unwrap_or(name);
        // Most hosts are addresses and domains: they are told by their length, without a copy.
        let (label, key) = name.rsplit_once('.').map_or((None, name), |(label, key)| (Some(label), key));
        if key.len() != KEY_CHARS || label.is_some_and(|label| !is_label(label)) {
            return None;
        }
        let key = key.to_ascii_lowercase();
        let user = known_keys::parse_key(&key).filter(|user| user.z32() == key && key != self.homeserver)?;
        Some((user, label.unwrap_or(MAIN_SITE).to_ascii_lowercase()))
    }
}

/// A label of a host name by RFC 1123; neither `_pubky` nor two labels are one.
fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= LABEL_CHARS_MAX
        && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// A request for a file of a user's website; among its extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Website {
    /// The owner.
    pub user: PublicKey,
    /// The folder of the site, without a slash at its end.
    root: String,
    /// The path that was asked for, within the site.
    pub path: StoragePath,
    /// The file of that path: the index of a directory.
    pub file: StoragePath,
}

impl Website {
    fn new(user: PublicKey, label: &str, raw: &str) -> Result<Self, Refusal> {
        let invalid =
            |error| Refusal::new(ErrorCode::InvalidWebsitePath, format!("Invalid website path: {error}"));
        let decoded = percent_decode_str(raw)
            .decode_utf8()
            .map_err(|_| Refusal::from(ErrorCode::WebsitePathNotUtf8))?;
        // Normalised before it is joined: no `..` leaves the site's folder.
        let path = StoragePath::normalize(&decoded).map_err(invalid)?;
        let root = format!("{SITES}/{label}");
        let index = if path.is_directory() { INDEX } else { "" };
        let file = StoragePath::new(&format!("{root}{path}{index}")).map_err(invalid)?;
        Ok(Self { user, root, path, file })
    }

    /// The index of the directory that the path may have meant; `None` if the path has a slash already, or no such
    /// index can be.
    pub fn index(&self) -> Option<StoragePath> {
        let file = self.path.is_file().then_some(&self.file)?;
        StoragePath::new(&format!("{file}/{INDEX}")).ok()
    }

    /// The site's page for what it does not have.
    pub fn not_found(&self) -> Option<StoragePath> {
        StoragePath::new(&format!("{}/{NOT_FOUND}", self.root)).ok()
    }
}

/// Marks requests for websites with a `Website`, and makes its owner and file their `Target`. Stamps every answer to
/// them.
pub async fn website(State(hosts): State<Arc<WebsiteHosts>>, mut request: Request, next: Next) -> Response {
    let mut response = match hosts.find(&request) {
        Ok(None) => return next.run(request).await,
        Ok(Some(site)) => {
            let target = Target { user: site.user.clone(), path: Some(site.file.clone()) };
            request.extensions_mut().insert(target);
            request.extensions_mut().insert(site);
            next.run(request).await
        }
        Err(refusal) => Rejection::from(refusal).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_CACHE);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    fn key() -> PublicKey {
        Keypair::random().public_key()
    }

    /// Where a GET of this path at this host is looked up; `None`: not in a website.
    fn file(hosts: &WebsiteHosts, host: &str, path: &str) -> Option<String> {
        let request = http::Request::builder().uri(path).header(HOST, host).body(()).expect("request");
        hosts.find(&request).expect("a good path").map(|site| site.file.as_str().to_owned())
    }

    #[test]
    fn hosts_that_are_a_key_or_one_label_before_it_have_websites() {
        let (homeserver, owner) = (key(), key().z32());
        let hosts = WebsiteHosts::new(true, &homeserver);
        let longest = "l".repeat(LABEL_CHARS_MAX);
        for (host, label) in [
            (owner.clone(), "_"),
            (owner.to_uppercase(), "_"),
            (format!("{owner}:6287"), "_"),
            (format!("{owner}."), "_"),
            (format!("{owner}.:80"), "_"),
            (format!("blog.{owner}"), "blog"),
            (format!("My-Blog2.{owner}"), "my-blog2"),
            (format!("9.{owner}"), "9"),
            (format!("{longest}.{owner}."), &longest),
        ] {
            assert_eq!(file(&hosts, &host, "/a"), Some(format!("/pub/website/{label}/a")), "{host}");
        }
        for host in [
            format!("_pubky.{owner}"),
            format!("_.{owner}"),
            format!("a_b.{owner}"),
            format!("a.b.{owner}"),
            format!("-a.{owner}"),
            format!("a-.{owner}"),
            format!(".{owner}"),
            format!("{longest}x.{owner}"),
            format!("pubky{owner}"),
            format!("x@{owner}"),
            format!("{owner}.."),
            format!("{owner}.com"),
            format!("é.{owner}"),
            homeserver.z32(),
            format!("blog.{}", homeserver.z32()),
            "example.com".into(),
            "[::1]:80".into(),
            "127.0.0.1:6286".into(),
            "0".repeat(KEY_CHARS),
            String::new(),
        ] {
            assert_eq!(file(&hosts, &host, "/a"), None, "{host}");
        }
        assert_eq!(file(&WebsiteHosts::new(false, &homeserver), &owner, "/"), None);
    }

    #[test]
    fn a_key_is_written_in_its_one_way() {
        let hosts = WebsiteHosts::new(true, &key());
        let owner = key().z32();
        let stem = &owner[..KEY_CHARS - 1];
        let letters = "ybndrfg8ejkmcpqxot1uwisza345h769".chars();
        let served = letters.filter(|last| file(&hosts, &format!("{stem}{last}"), "/a").is_some());
        // The last letter carries one bit. Both may be points of the curve, and each has one spelling.
        assert!(served.clone().count() <= 2 && served.clone().any(|last| owner.ends_with(last)));
    }

    #[test]
    fn the_uris_authority_counts_without_a_host_and_pubky_host_never() {
        let hosts = WebsiteHosts::new(true, &key());
        let (owner, other) = (key(), key());
        let find = |builder: http::request::Builder| {
            let found = hosts.find(&builder.body(()).expect("request"));
            found.expect("a good path").map(|site| site.user)
        };
        let request = || http::Request::builder().uri(format!("https://{}/a", owner.z32()));
        assert_eq!(find(request()), Some(owner.clone()));
        assert_eq!(find(request().header(HOST, "example.com")), None);
        assert_eq!(find(request().header("pubky-host", other.z32())), Some(owner));
        let elsewhere = http::Request::builder().uri(format!("/a?pubky-host={}", other.z32()));
        assert_eq!(find(elsewhere.header(HOST, "localhost").header("pubky-host", other.z32())), None);
    }

    #[test]
    fn paths_of_the_protocol_stay_and_all_others_lead_into_the_site() {
        let hosts = WebsiteHosts::new(true, &key());
        let host = format!("blog.{}", key().z32());
        let at = |path: &str| file(&hosts, &host, path);
        for reserved in RESERVED {
            for path in [format!("/{reserved}"), format!("/{reserved}/"), format!("/{reserved}/x?y")] {
                assert_eq!(at(&path), None, "{path}");
            }
        }
        for (path, expected) in [
            ("/", "/index.html"),
            ("/?x=/pub", "/index.html"),
            ("/a/b/", "/a/b/index.html"),
            ("/a/.", "/a/index.html"),
            ("/a/%2e%2e/b%20c.html", "/b c.html"),
            ("//example.com", "/example.com"),
            ("//pub/x", "/pub/x"),
            ("/%70ub/x", "/pub/x"),
            ("/Pub", "/Pub"),
            ("/events2/", "/events2/index.html"),
            ("/50%2525", "/50%25"),
        ] {
            assert_eq!(at(path), Some(format!("/pub/website/blog{expected}")), "{path}");
        }
        let post = http::Request::post("/").header(HOST, &host).body(()).expect("request");
        assert_eq!(hosts.find(&post), Ok(None));
    }

    #[test]
    fn paths_that_no_file_can_have_are_refused() {
        let hosts = WebsiteHosts::new(true, &key());
        let host = key().z32();
        let refused = |path: &str| {
            let request = http::Request::builder().uri(path).header(HOST, &host).body(()).expect("request");
            hosts.find(&request).expect_err(path)
        };
        assert_eq!(refused("/%ff").text(), "Website path is not valid UTF-8");
        let segments = "/0123456789".repeat(100);
        for path in ["/..", "/a/%2e%2e%2F..%2Fpriv", "/%5Cexample.com", "/%00", "/a%20", &segments] {
            let refusal = refused(path);
            assert_eq!(refusal.code, ErrorCode::InvalidWebsitePath, "{path}");
            assert!(refusal.text().starts_with("Invalid website path: "), "{path}");
        }
    }
}
