//! `rowhouse ctl node drain --leaders-only`: a node gives its leaderships away and takes no more.

use std::time::{Duration, Instant};

use rowhouse_gateway::overview::View;
use rowhouse_peer::Dialer;
use rowhouse_proto::wire::meta::NodeInfo;
use serde_json::json;
use tokio::time::sleep;

use super::super::args::Output;
use super::super::client::NodeClient;
use super::super::follow::Waiting;
use crate::error::Error;

/// How often the node is asked what it still leads.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A hand-over takes milliseconds where the others are well.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Whether the node shall give away what it leads or may lead again, and how that is told.
#[derive(Clone, Copy)]
pub struct HandOver {
    pub off: bool,
    pub waiting: Waiting,
    pub output: Output,
}

/// Returns when nothing is left that another node could lead; at once with `--off` or `--no-wait`.
pub async fn hand_over(view: &View, dialer: &Dialer, node: &NodeInfo, how: HandOver) -> Result<(), Error> {
    let cluster_id = &view.map.cluster_id;
    let name = view.label(&node.node_uuid);
    let mut client = NodeClient::connect(&node.address, dialer, Some(&node.name)).await?;
    if how.off {
        let led = client.drain(cluster_id, false).await?;
        let text = format!("{name} leads again what is given to it");
        return how.output.print_line(&text, &json!({ "node": name, "draining": false, "leads": led }));
    }
    let until = Instant::now() + WAIT_MAX.min(Duration::from_secs(how.waiting.timeout_s));
    let mut told = None;
    loop {
        let led = client.drain(cluster_id, true).await?;
        let tell = |text: &str| {
            how.output.print_line(text, &json!({ "node": name, "draining": true, "leads": led }))
        };
        if led == 0 {
            return tell(&format!(
                "{name} leads nothing that others could, and stays so until `ctl node drain --leaders-only --off` \
                 or a restart"
            ));
        }
        if told != Some(led) {
            tell(&format!("{name} still leads {led} groups"))?;
            told = Some(led);
        }
        if how.waiting.no_wait {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(Error::Failed(format!(
                "{name} still leads {led} groups; it goes on handing them over. If this stays so, the other replicas \
                 do not answer or lag behind: see `rowhouse ctl status`"
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}
