//! Pages of the feed over scripted nodes, asked for without HTTP: barriers that are shared, and the one order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use pubky_common::crypto::{Keypair, PublicKey};
use rowhouse_peer::Dialer;
use rowhouse_proto::EventRow;
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::wire::shard::EventRecord;

use crate::GatewayConfig;
use crate::cluster::Cluster;
use crate::feed::{Feed, Freshness, Selection};
use crate::testing::{FakeNode, HLC_US, SECRET, SHARDS, Script, ids, map_of};

/// Generous: tests share machines with compilers.
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    cluster: Arc<Cluster>,
    feed: Feed,
}

impl World {
    fn over(nodes: &[FakeNode]) -> Self {
        let config = GatewayConfig::new(SECRET, Vec::new());
        let homeserver = Keypair::from_secret(&SECRET).public_key();
        let cluster = Arc::new(Cluster::new(&config.limits, Dialer::plaintext(), homeserver));
        let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
        let map = map_of(1, SHARDS, &addresses, "open");
        assert!(cluster.install(&map, HLC_US, "a test").expect("its homeserver"));
        Self { feed: Feed::new(Arc::clone(&cluster)), cluster }
    }

    async fn page(&self, selection: &Selection) -> Vec<EventRow> {
        let call = self.cluster.call(None);
        let page = self.feed.page(&call, selection, Freshness::Acknowledged).await;
        page.expect("every shard answers")
    }

    /// Ids of the first events.
    async fn ids(&self) -> Vec<u64> {
        let page = self.page(&Selection { limit: 1000, ..Selection::default() }).await;
        page.iter().map(EventRow::id).collect()
    }
}

fn user(n: u8) -> PublicKey {
    Keypair::from_secret(&[n + 1; 32]).public_key()
}

fn event(tick: u64, user: &PublicKey, path: &str) -> EventRecord {
    EventRecord {
        id: ids().id(tick, Slot::of_user(user).shard(SHARDS)),
        user: user.as_bytes().to_vec().into(),
        path: path.into(),
        hash: vec![1; 32].into(),
        ..EventRecord::default()
    }
}

/// Three nodes with all replicas, each the leader of a third of the shards.
async fn replicas(events: &[EventRecord]) -> Vec<FakeNode> {
    let mut nodes = Vec::new();
    for index in 0..3 {
        let node = FakeNode::start(Script::default()).await;
        node.feed.leads((0..SHARDS).filter(|shard| shard % 3 == index));
        events.iter().for_each(|event| node.feed.append(event.clone()));
        nodes.push(node);
    }
    nodes
}

#[tokio::test]
async fn history_is_asked_of_one_node_that_has_all_of_it() {
    const PAGES: usize = 60;
    // One for each shard, so that all are closed that far without a word.
    let events: Vec<_> = (0..SHARDS)
        .map(|shard| EventRecord { id: ids().id(9, shard), ..event(9, &user(0), "/pub/a") })
        .collect();
    let nodes = replicas(&events).await;
    let world = World::over(&nodes);
    world.ids().await;
    let reads = || nodes.iter().map(|node| node.feed.reads().len()).collect::<Vec<_>>();
    let first = Selection { limit: 1, ..Selection::default() };
    let before = reads();
    for _ in 0..PAGES {
        world.page(&first).await;
    }
    let asked: Vec<_> = reads().iter().zip(&before).map(|(now, before)| now - before).collect();
    assert_eq!(asked.iter().sum::<usize>(), PAGES, "{asked:?}");
    assert!(asked.iter().all(|asked| *asked > 0), "in turn: {asked:?}");

    nodes[1].feed.answers(false);
    let before = reads()[1];
    for _ in 0..PAGES {
        world.page(&first).await;
    }
    let asked = reads()[1] - before;
    assert!(asked < PAGES / 6, "a node that is silent was asked {asked} times");
}

#[tokio::test]
async fn callers_at_the_same_time_share_one_round() {
    let nodes = [FakeNode::start(Script::default()).await];
    let world = World::over(&nodes);
    let pages = join_all((0..50).map(|_| world.ids())).await;
    assert!(pages.iter().all(Vec::is_empty));
    assert_eq!(nodes[0].feed.clocks().len(), 1);
}

#[tokio::test]
async fn a_caller_joins_the_next_round_and_not_the_one_that_runs() {
    let nodes = [FakeNode::start(Script::default()).await];
    let (world, node) = (World::over(&nodes), &nodes[0].feed);
    node.holds(true);
    let first = world.ids();
    let later = async {
        let begun = async {
            while node.clocks().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, begun).await.expect("a round begins");
        let written = event(7, &user(0), "/pub/a");
        // Acknowledged while the first round runs, which has the shard's clock already.
        node.append(written.clone());
        let pages = join_all((0..49).map(|_| world.ids()));
        let (pages, ()) = tokio::join!(pages, async { node.holds(false) });
        assert!(pages.iter().all(|page| *page == [written.id]), "{pages:?}");
    };
    let (first, ()) = tokio::join!(first, later);
    assert!(first.is_empty(), "it had begun before");
    let ticks: Vec<u64> = node.clocks().iter().map(|request| request.tick).collect();
    assert_eq!(ticks, [0, 0, 7], "two rounds, of which the second closes");
}

/// Everything that a cluster has, and where.
#[derive(Debug)]
struct Scene {
    events: BTreeMap<u64, EventRecord>,
    /// By shard the node that leads it, and whether the others have a replica.
    places: Vec<(usize, bool)>,
    looks_at: usize,
}

const NODES: usize = 3;
const USERS: u8 = 6;
const PATHS: [&str; 3] = ["/pub/a/x", "/pub/ab", "/priv/c"];

fn scene() -> impl Strategy<Value = Scene> {
    let events = btree_set((1..60u64, 0..USERS, 0..PATHS.len()), 0..60);
    let places = vec((0..NODES, any::<bool>()), SHARDS as usize);
    (events, places, 1..6usize).prop_map(|(events, places, looks_at)| {
        let events = events.into_iter().map(|(tick, of, path)| event(tick, &user(of), PATHS[path]));
        Scene { events: events.map(|event| (event.id, event)).collect(), places, looks_at }
    })
}

fn selection() -> impl Strategy<Value = Selection> {
    let users = btree_set(0..USERS, 0..3).prop_map(|users| users.into_iter().map(user).collect());
    let paths = prop_oneof![Just(vec![]), Just(vec!["/pub/"]), Just(vec!["/pub/a/", "/priv/c"])];
    let paths = paths.prop_map(|paths| paths.into_iter().map(String::from).collect());
    let after = prop_oneof![Just(0), 0..ids().id(62, 0)];
    (after, users, paths, any::<bool>()).prop_map(|(after, users, paths, reverse)| Selection {
        after,
        limit: 0,
        users,
        paths,
        reverse,
    })
}

/// One sorted list, which no node has.
fn expected(scene: &Scene, selection: &Selection) -> Vec<u64> {
    let is_ahead = |id: u64| match (selection.reverse, selection.after) {
        (true, 0) => true,
        (true, after) => id < after,
        (false, after) => id > after,
    };
    let is_below = |event: &EventRecord, path: &String| {
        event.path == *path || path.ends_with('/') && event.path.starts_with(path.as_str())
    };
    let is_selected = |event: &&EventRecord| {
        is_ahead(event.id)
            && (selection.users.is_empty()
                || selection.users.iter().any(|user| user.as_bytes()[..] == event.user[..]))
            && (selection.paths.is_empty() || selection.paths.iter().any(|path| is_below(event, path)))
    };
    let mut ids: Vec<u64> = scene.events.values().filter(is_selected).map(|event| event.id).collect();
    if selection.reverse {
        ids.reverse();
    }
    ids
}

async fn build(scene: &Scene) -> Vec<FakeNode> {
    let mut nodes = Vec::new();
    for index in 0..NODES {
        let node = FakeNode::start(Script::default()).await;
        let led = |shard: &u32| scene.places[*shard as usize].0 == index;
        let hosted = |shard: &u32| led(shard) || scene.places[*shard as usize].1;
        node.feed.leads((0..SHARDS).filter(led));
        node.feed.hosts((0..SHARDS).filter(hosted));
        node.feed.looks_at(scene.looks_at);
        let here = scene.events.values().filter(|event| hosted(&ids().shard_of(event.id)));
        here.for_each(|event| node.feed.append(event.clone()));
        nodes.push(node);
    }
    nodes
}

/// Reads page after page to the end. Every page but the last is full.
async fn walk(world: &World, selection: Selection, limits: &[u32]) -> Vec<u64> {
    let mut seen: Vec<u64> = Vec::new();
    for limit in limits.iter().cycle() {
        let after = seen.last().copied().unwrap_or(selection.after);
        let page = world.page(&Selection { after, limit: *limit, ..selection.clone() }).await;
        assert!(page.len() <= *limit as usize);
        seen.extend(page.iter().map(EventRow::id));
        if page.len() < *limit as usize {
            break;
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn pages_over_any_nodes_are_one_sorted_list(
        scene in scene(),
        selections in vec(selection(), 1..4),
        limits in vec(1..9u32, 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let nodes = build(&scene).await;
            let world = World::over(&nodes);
            for selection in selections {
                let expected = expected(&scene, &selection);
                assert_eq!(walk(&world, selection.clone(), &limits).await, expected, "{selection:?}");
            }
        });
    }
}
