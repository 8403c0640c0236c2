//! Looks at a cluster: the newest map that can be had, then every node of it for its own view.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rowhouse_gateway::overview::{Answer, View};
use rowhouse_peer::Dialer;
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{ClusterMap, NodeInfo};
use tokio::task::JoinSet;

use super::args::Access;
use super::client::NodeClient;
use crate::error::Error;

/// Looks again and again, through other nodes if the one it was given ends.
pub struct Observer {
    seed: String,
    /// With the operator's certificates.
    pub dialer: Dialer,
    /// Addresses in the map that was seen last.
    others: Vec<String>,
}

impl Observer {
    /// Fails if the certificates that `access` names are of no use.
    pub fn new(access: &Access) -> Result<Self, Error> {
        Ok(Self { seed: access.node.clone(), dialer: access.tls.dialer()?, others: Vec::new() })
    }

    /// Fails if no node answers, or if the one asked belongs to no cluster.
    pub async fn look(&mut self) -> Result<View, Error> {
        // Whoever looks for days outlives certificates. Old ones serve while new files are being written.
        let unusable = self.renew().await;
        self.ask().await.map_err(|error| match (error, unusable) {
            (Error::Node { address, text }, Some(why)) => Error::Node {
                address,
                text: format!("{text}; and the new certificates are of no use: {why}"),
            },
            (error, _) => error,
        })
    }

    /// Takes over certificates that were replaced. Returns why it cannot.
    async fn renew(&self) -> Option<String> {
        let certificates = Arc::clone(self.dialer.certificates()?);
        let renewed = tokio::task::spawn_blocking(move || certificates.refresh()).await.ok()?;
        renewed.err().map(|error| error.to_string())
    }

    async fn ask(&mut self) -> Result<View, Error> {
        let map = self.any_map().await?;
        let view = self.view(map).await;
        // What was decided a moment ago may not have reached the node that was asked for the map.
        let Some((leader, _)) = view.leader(META_GROUP) else { return Ok(self.remember(view)) };
        let newest = async {
            NodeClient::connect(&leader.address, &self.dialer, Some(&leader.name)).await?.map().await
        };
        let view = match newest.await {
            Ok(newer) if newer.map_version > view.map.map_version => self.view(newer).await,
            _ => view,
        };
        Ok(self.remember(view))
    }

    async fn any_map(&self) -> Result<ClusterMap, Error> {
        let error = match map_of(&self.seed, &self.dialer).await {
            Ok(map) => return Ok(map),
            Err(error) => error,
        };
        for other in self.others.iter().filter(|other| **other != self.seed) {
            if let Ok(map) = map_of(other, &self.dialer).await {
                return Ok(map);
            }
        }
        Err(error)
    }

    async fn view(&self, map: ClusterMap) -> View {
        let answers = ask_all(&map.nodes, &self.dialer).await;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        View::new(map, answers, u64::try_from(now_ms).unwrap_or(u64::MAX))
    }

    fn remember(&mut self, view: View) -> View {
        self.others = view.map.nodes.iter().map(|node| node.address.clone()).collect();
        view
    }
}

async fn map_of(address: &str, dialer: &Dialer) -> Result<ClusterMap, Error> {
    let map = NodeClient::connect(address, dialer, None).await?.map().await?;
    if map.cluster_id.is_empty() {
        let text = "belongs to no cluster yet: run `rowhouse cluster init`".to_owned();
        return Err(Error::Node { address: address.to_owned(), text });
    }
    Ok(map)
}

/// All nodes at once: a dead one costs its own deadline, not everybody's.
async fn ask_all(nodes: &[NodeInfo], dialer: &Dialer) -> Vec<Answer> {
    let mut asked = JoinSet::new();
    for (index, node) in nodes.iter().enumerate() {
        let (node, dialer) = (node.clone(), dialer.clone());
        asked.spawn(async move {
            let answer =
                async { NodeClient::connect(&node.address, &dialer, Some(&node.name)).await?.status().await };
            (index, answer.await.map_err(|error: Error| error.to_string()))
        });
    }
    let mut answers: Vec<Answer> =
        nodes.iter().map(|node| Err(format!("node {}: no answer", node.address))).collect();
    while let Some(Ok((index, answer))) = asked.join_next().await {
        answers[index] = answer;
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;
    use std::time::Duration;

    use rowhouse_peer::{Authority, CertificateFiles, Role};

    use super::*;
    use crate::certificates::TlsArgs;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn write(folder: &Path, authority: &Authority, days: u32) {
        let now = SystemTime::now();
        let issued = authority.issue(Role::Ctl, "me", now - DAY..now + days * DAY).expect("issued");
        fs::write(folder.join("ca.pem"), authority.certificate_pem()).expect("written");
        fs::write(folder.join("me.pem"), issued.certificate_pem).expect("written");
        let key = folder.join("me.key");
        drop(fs::remove_file(&key));
        let file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&key);
        std::io::Write::write_all(&mut file.expect("created"), issued.key_pem.as_bytes()).expect("written");
    }

    #[tokio::test]
    async fn certificates_are_read_again_before_each_look() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let authority = Authority::create("c", now - DAY..now + 9 * DAY).expect("a CA");
        write(folder.path(), &authority, 1);
        let tls = TlsArgs::new(CertificateFiles::in_folder(folder.path(), "me"));
        // Nobody listens there.
        let mut observer = Observer::new(&Access { node: "127.0.0.1:1".into(), tls }).expect("certificates");
        let left = |observer: &Observer| {
            let certificates = observer.dialer.certificates().expect("certificates");
            certificates.expires_at().duration_since(now).expect("later")
        };
        assert!(left(&observer) < 2 * DAY);
        write(folder.path(), &authority, 5);
        observer.look().await.err().expect("nobody answers");
        assert!(left(&observer) > 4 * DAY, "the new ones are in use");

        fs::write(folder.path().join("me.pem"), "half a file").expect("written");
        let said = observer.look().await.err().expect("nobody answers").to_string();
        assert!(
            said.contains("no connection") && said.contains("of no use") && said.contains("me.pem"),
            "{said}"
        );
        assert!(left(&observer) > 4 * DAY, "the old ones stay");
    }
}
