//! Which nodes a gateway with certificates speaks to.

use std::sync::Arc;
use std::time::Duration;

use rowhouse_peer::{Certificates, Role};

use crate::testing::{FakeNode, Fixture, Issuer, Script, User};

/// Long enough for the gateway to find the node, if it would.
const MAP_TIMEOUT: Duration = Duration::from_millis(1500);

/// Whether a change reaches a node that shows `shown`; the map calls it n1.
async fn reached(shown: Option<Arc<Certificates>>, own: Option<Arc<Certificates>>) -> bool {
    let node = FakeNode::start_with(Script::default(), shown).await;
    let fixture = Fixture::over(node, Vec::new(), |config| {
        config.certificates = own;
        config.limits.retry_timeout_s = MAP_TIMEOUT;
        config.limits.map_timeout_s = MAP_TIMEOUT;
    })
    .await;
    let user = User::random();
    let cookie = [("cookie", user.cookie.as_str())];
    let reply = fixture.client.send("PUT", &user.storage("/pub/a"), &cookie, b"x").await;
    let executed = fixture.node.executed().len();
    match reply.status {
        201 => assert_eq!(executed, 1),
        status => assert_eq!((status, executed), (503, 0), "{}", reply.text()),
    }
    reply.status == 201
}

#[tokio::test]
async fn only_the_node_of_the_map_is_asked() {
    let (ours, theirs) = (Issuer::new(), Issuer::new());
    let gateway = || Some(ours.certificates(Role::Gateway, "g1"));
    let node = |name: &str| Some(ours.certificates(Role::Node, name));
    assert!(reached(node("n1"), gateway()).await, "the node itself");
    assert!(!reached(node("n2"), gateway()).await, "the certificate of another node");
    assert!(!reached(Some(ours.certificates(Role::Gateway, "n1")), gateway()).await, "a gateway");
    assert!(!reached(Some(theirs.certificates(Role::Node, "n1")), gateway()).await, "another CA");
    assert!(!reached(None, gateway()).await, "a node without certificates");
    assert!(!reached(node("n1"), None).await, "a gateway without certificates");
    let stranger = Some(theirs.certificates(Role::Gateway, "g1"));
    assert!(!reached(node("n1"), stranger).await, "a gateway of another CA");
}
