//! The properties of files and collections, and what a PROPFIND asks of them.

use std::time::{Duration, UNIX_EPOCH};

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::quota::storage_bytes;
use rowhouse_proto::wire::account::UserQuota;
use rowhouse_proto::wire::shard::{Account, Entry};

use super::xml_body::Name;
use crate::escape::push_escaped;
use crate::etag::etag;

const DAV: &str = "DAV:";
/// The last second that HTTP dates can name.
const HTTP_DATE_MAX_S: u64 = 253_402_300_799;

/// The properties that are told to who names none (RFC 4918 §15). Quotas are told to who asks for them (RFC 4331 §3).
const ALL: [&str; 8] = [
    "resourcetype",
    "displayname",
    "getcontentlength",
    "getcontenttype",
    "getetag",
    "getlastmodified",
    "supportedlock",
    "lockdiscovery",
];
const QUOTAS: [&str; 2] = ["quota-available-bytes", "quota-used-bytes"];

/// What a PROPFIND asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All that there are, and these.
    All(Vec<Name>),
    /// Their names alone.
    Names,
    These(Vec<Name>),
}

impl Wanted {
    /// From the elements of a body; an empty body asks for all.
    pub fn of(elements: &[(usize, Name)]) -> Result<Self, ErrorCode> {
        let Some(((_, root), rest)) = elements.split_first() else { return Ok(Self::All(Vec::new())) };
        if !is_dav(root, "propfind") {
            return Err(ErrorCode::InvalidXml);
        }
        let (mut wanted, mut include, mut within) = (None, Vec::new(), "");
        for (depth, name) in rest {
            match (depth, name.local.as_str()) {
                (2, "allprop") if is_dav(name, "allprop") => wanted = Some(Self::All(Vec::new())),
                (2, "propname") if is_dav(name, "propname") => wanted = Some(Self::Names),
                (2, "prop") if is_dav(name, "prop") => {
                    wanted = Some(Self::These(Vec::new()));
                    within = "prop";
                }
                (2, "include") if is_dav(name, "include") => within = "include",
                (2, _) => within = "",
                (3, _) if within == "include" => include.push(name.clone()),
                (3, _) if within == "prop" => {
                    if let Some(Self::These(names)) = &mut wanted {
                        names.push(name.clone());
                    }
                }
                _ => {}
            }
        }
        match wanted.ok_or(ErrorCode::InvalidXml)? {
            Self::All(_) => Ok(Self::All(include)),
            other => Ok(other),
        }
    }

    /// Whether it asks for a user's bytes and bound.
    pub fn wants_quota(&self) -> bool {
        match self {
            Self::All(names) | Self::These(names) => {
                names.iter().any(|name| QUOTAS.iter().any(|quota| is_dav(name, quota)))
            }
            Self::Names => false,
        }
    }
}

fn is_dav(name: &Name, local: &str) -> bool {
    name.namespace == DAV && name.local == local
}

/// A file or collection of a listing.
pub struct Resource {
    /// Percent-encoded; a collection's ends in a slash.
    pub href: String,
    pub name: String,
    /// `None`: a collection.
    pub file: Option<Entry>,
    pub quota: Option<Quota>,
}

/// A user's bytes.
#[derive(Clone, Copy)]
pub struct Quota {
    used: u64,
    /// `None`: without a bound.
    available: Option<u64>,
}

impl Quota {
    /// Of an account, under the cluster's defaults.
    pub fn of(account: &Account, defaults: &UserQuota) -> Self {
        let used = account.used_bytes;
        let bound = storage_bytes(account.quota.as_ref(), storage_bytes(Some(defaults), None));
        Self { used, available: bound.map(|bound| bound.saturating_sub(used)) }
    }
}

/// The XML of a resource's properties: those that it has, and those that were asked for and that it lacks.
pub struct Told {
    pub found: String,
    pub missing: String,
}

impl Resource {
    /// What is told of it.
    pub fn tell(&self, wanted: &Wanted) -> Told {
        let mut told = Told { found: String::new(), missing: String::new() };
        match wanted {
            Wanted::Names => {
                for local in ALL.into_iter().chain(QUOTAS) {
                    if self.value(local).is_some() {
                        push_empty(&mut told.found, &dav(local));
                    }
                }
            }
            Wanted::All(include) => {
                for local in ALL {
                    if let Some(value) = self.value(local) {
                        push(&mut told.found, local, &value);
                    }
                }
                include.iter().for_each(|name| self.tell_one(name, &mut told));
            }
            Wanted::These(names) => names.iter().for_each(|name| self.tell_one(name, &mut told)),
        }
        told
    }

    fn tell_one(&self, name: &Name, told: &mut Told) {
        match self.value(&name.local).filter(|_| name.namespace == DAV) {
            Some(value) => push(&mut told.found, &name.local, &value),
            None => push_empty(&mut told.missing, name),
        }
    }

    /// The content of a property's element, as XML.
    fn value(&self, local: &str) -> Option<String> {
        match local {
            "resourcetype" if self.file.is_none() => Some("<D:collection/>".to_owned()),
            "resourcetype" | "lockdiscovery" => Some(String::new()),
            "supportedlock" => Some(
                "<D:lockentry><D:lockscope><D:exclusive/></D:lockscope>\
                 <D:locktype><D:write/></D:locktype></D:lockentry>"
                    .to_owned(),
            ),
            "displayname" => Some(escaped(&self.name)),
            "quota-used-bytes" => self.quota.map(|quota| quota.used.to_string()),
            "quota-available-bytes" => self.quota?.available.map(|bytes| bytes.to_string()),
            _ => self.value_of_file(local, self.file.as_ref()?),
        }
    }

    fn value_of_file(&self, local: &str, entry: &Entry) -> Option<String> {
        match local {
            "getcontentlength" => Some(entry.length.to_string()),
            "getcontenttype" => Some(escaped(&entry.content_type)),
            "getetag" => Some(escaped(&etag(&entry.hash))),
            "getlastmodified" => {
                let seconds = (entry.modified_ms / 1000).min(HTTP_DATE_MAX_S);
                Some(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
            }
            _ => None,
        }
    }
}

fn dav(local: &str) -> Name {
    Name { namespace: DAV.to_owned(), local: local.to_owned() }
}

fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    push_escaped(&mut xml, text);
    xml
}

/// An element of `DAV:` with this content.
fn push(xml: &mut String, local: &str, content: &str) {
    for part in ["<D:", local, ">", content, "</D:", local, ">"] {
        xml.push_str(part);
    }
}

/// An element of any namespace without content. Its name came from a parser, so that it is one.
fn push_empty(xml: &mut String, name: &Name) {
    if name.namespace == DAV {
        xml.push_str("<D:");
        xml.push_str(&name.local);
        xml.push_str("/>");
    } else {
        xml.push('<');
        xml.push_str(&name.local);
        xml.push_str(" xmlns=\"");
        push_escaped(xml, &name.namespace);
        xml.push_str("\"/>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml_body::elements;

    fn wanted(body: &str) -> Result<Wanted, ErrorCode> {
        Wanted::of(&elements(body.as_bytes()).expect("well-formed"))
    }

    fn these(names: &[(&str, &str)]) -> Vec<Name> {
        names
            .iter()
            .map(|(namespace, local)| Name { namespace: (*namespace).into(), local: (*local).into() })
            .collect()
    }

    #[test]
    fn bodies_say_what_is_wanted() {
        let propfind =
            |inner: &str| wanted(&format!("<propfind xmlns=\"DAV:\" xmlns:x=\"urn:x\">{inner}</propfind>"));
        assert_eq!(Wanted::of(&[]), Ok(Wanted::All(Vec::new())));
        assert_eq!(propfind("<allprop/>"), Ok(Wanted::All(Vec::new())));
        assert_eq!(propfind("<propname/>"), Ok(Wanted::Names));
        let include = these(&[("DAV:", "quota-used-bytes")]);
        assert_eq!(propfind("<allprop/><include><quota-used-bytes/></include>"), Ok(Wanted::All(include)));
        let expected = these(&[("DAV:", "getetag"), ("urn:x", "y")]);
        assert_eq!(propfind("<prop><getetag/><x:y><deep/></x:y></prop>"), Ok(Wanted::These(expected)));
        for bad in ["<propfind/>", "<a xmlns=\"DAV:\"/>", "<propfind xmlns=\"DAV:\"><x/></propfind>"] {
            assert_eq!(wanted(bad), Err(ErrorCode::InvalidXml), "{bad}");
        }
    }

    #[test]
    fn what_is_missing_is_told_apart() {
        let file =
            Entry { length: 5, content_type: "a/b".into(), hash: vec![0; 32].into(), ..Entry::default() };
        let mut resource =
            Resource { href: String::new(), name: "a&b".into(), file: Some(file), quota: None };
        let names =
            these(&[("DAV:", "displayname"), ("urn:\"x", "displayname"), ("DAV:", "quota-used-bytes")]);
        let told = resource.tell(&Wanted::These(names));
        assert_eq!(told.found, "<D:displayname>a&amp;b</D:displayname>");
        assert_eq!(told.missing, "<displayname xmlns=\"urn:&quot;x\"/><D:quota-used-bytes/>");
        resource.file = None;
        resource.quota = Some(Quota { used: 7, available: None });
        let told = resource.tell(&Wanted::These(these(&[("DAV:", "quota-used-bytes"), ("DAV:", "getetag")])));
        assert_eq!(told.found, "<D:quota-used-bytes>7</D:quota-used-bytes>");
        assert_eq!(told.missing, "<D:getetag/>");
        assert!(resource.tell(&Wanted::All(Vec::new())).found.contains("<D:collection/>"));
    }

    #[test]
    fn a_quota_leaves_what_is_not_used() {
        let defaults = UserQuota::default();
        let account = Account { used_bytes: 10, ..Account::default() };
        assert_eq!(Quota::of(&account, &defaults).available, None);
        let bound = rowhouse_proto::wire::account::user_quota::Storage::StorageMb(0);
        let account =
            Account { quota: Some(UserQuota { storage: Some(bound), ..UserQuota::default() }), ..account };
        assert_eq!(Quota::of(&account, &defaults).available, Some(0));
    }
}
