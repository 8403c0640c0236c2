//! The feed service of nodes: clocks of led shards, closing, merged pages of any replica, marks.

use std::collections::BTreeMap;

use futures::StreamExt;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::wire::feed::feed_client::FeedClient;
use rowhouse_proto::wire::feed::{ClocksRequest, FollowRequest, PageReply, PageRequest, ShardClock};
use rowhouse_proto::wire::shard::EventRecord;
use rowhouse_proto::{EventRow, WIRE_VERSION};
use tonic::transport::Channel;

use super::client::{Client, User};
use super::harness::{Cluster, GENEROUS, SHARDS, wait_for};

fn ids() -> EventIds {
    EventIds::new(SHARDS).expect("a power of two")
}

/// Four users, one in each shard.
fn users() -> Vec<User> {
    let found: BTreeMap<u32, User> = (1..100).map(User::new).map(|user| (user.shard(), user)).collect();
    assert_eq!(found.len(), SHARDS as usize);
    found.into_values().collect()
}

impl Cluster {
    fn feed<T>(&self, n: usize, call: impl AsyncFnOnce(FeedClient<Channel>) -> T) -> T {
        self.client.runtime.block_on(async {
            let channel = Client::connect(self.address(n), &self.client.gateway).await.expect("it runs");
            call(FeedClient::new(channel)).await
        })
    }

    fn clocks(&self, n: usize, tick: u64) -> Vec<ShardClock> {
        let request = ClocksRequest { version: WIRE_VERSION, tick };
        self.feed(n, async |mut feed| feed.clocks(request).await.expect("answers").into_inner().clocks)
    }

    /// The clocks of all shards, each from its leader.
    fn all_clocks(&self, tick: u64) -> BTreeMap<u32, ShardClock> {
        wait_for("every shard's clock", || {
            let nodes = (0..self.nodes.len()).filter(|n| self.nodes[*n].is_some());
            let clocks = nodes.flat_map(|n| self.clocks(n, tick)).map(|clock| (clock.shard, clock));
            let clocks: BTreeMap<u32, ShardClock> = clocks.collect();
            (clocks.len() == SHARDS as usize).then_some(clocks)
        })
    }

    fn read(&self, n: usize, request: &PageRequest) -> PageReply {
        let request = PageRequest { version: WIRE_VERSION, ..request.clone() };
        self.feed(n, async |mut feed| feed.page(request).await.expect("answers").into_inner())
    }

    fn log_lengths(&self) -> Vec<u64> {
        let status = wait_for("a status", || self.status(0, false));
        status.groups.iter().map(|group| group.last_log).collect()
    }
}

/// A page of all shards up to `tick_max`, from a node that has applied that much.
fn whole(cluster: &Cluster, n: usize, tick_max: u64, after: u64, limit: u32) -> PageReply {
    let request =
        PageRequest { shards: (0..SHARDS).collect(), tick_max, after, limit, ..PageRequest::default() };
    wait_for("a replica that is not behind", || {
        Some(cluster.read(n, &request)).filter(|reply| reply.behind.is_empty())
    })
}

fn events(page: PageReply) -> Vec<EventRecord> {
    let mut rows = page.rows;
    let rows = std::iter::from_fn(|| EventRow::take(&mut rows));
    rows.map(|row| row.and_then(|row| row.to_record()).expect("an event")).collect()
}

#[test]
fn what_was_acknowledged_is_in_the_feed_of_every_replica() {
    let mut cluster = Cluster::initialized(3);
    let users = users();
    for user in &users {
        cluster.client.signup(user);
        cluster.client.put(user, "/pub/a", b"x");
        cluster.client.put(user, "/priv/b", b"x");
    }
    let told = cluster.all_clocks(0);
    let newest = told.values().map(|clock| clock.last_event).max().expect("shards");
    assert!(told.values().any(|clock| clock.closed < newest), "shards rest at their own last writes");

    let closed = cluster.all_clocks(newest);
    assert!(closed.values().all(|clock| clock.closed >= newest));
    for n in 0..3 {
        let page = whole(&cluster, n, newest, 0, 100);
        assert_eq!(page.reached, 0);
        let events = events(page);
        assert_eq!(events.len(), 2 * users.len());
        assert!(events.is_sorted_by_key(|event| event.id));
        assert!(events.iter().all(|event| ids().tick_of(event.id) <= newest));
    }

    // By pages, filtered, one user's, and the other way round.
    let mut paged: Vec<EventRecord> = Vec::new();
    for _ in 0..100 {
        let page = whole(&cluster, 1, newest, paged.last().map_or(0, |event| event.id), 3);
        let is_last = page.reached == 0;
        paged.extend(events(page));
        if is_last {
            break;
        }
    }
    assert_eq!(paged, events(whole(&cluster, 0, newest, 0, 0)));
    let request = PageRequest {
        shards: (0..SHARDS).collect(),
        tick_max: newest,
        users: vec![users[2].tenant(), users[1].tenant()],
        paths: vec!["/priv/".into()],
        reverse: true,
        ..PageRequest::default()
    };
    let private = events(cluster.read(2, &request));
    assert_eq!(private.len(), 2);
    assert!(private.iter().all(|event| event.path == "/priv/b") && private[0].id > private[1].id);

    // Over a crash of a leader, nothing that was closed comes to be open.
    let leader = cluster.leader_of(0);
    cluster.kill(leader);
    let after = cluster.all_clocks(0);
    assert!(after.values().all(|clock| clock.closed >= newest));
    cluster.restart(leader);
    assert_eq!(events(whole(&cluster, leader, newest, 0, 0)), paged);
}

#[test]
fn idle_shards_write_nothing_and_are_closed_once() {
    let cluster = Cluster::initialized(3);
    let users = users();
    for user in &users {
        cluster.client.signup(user);
    }
    cluster.client.put(&users[0], "/pub/a", b"x");
    let newest = cluster.all_clocks(0)[&users[0].shard()].last_event;
    cluster.all_clocks(newest);
    let before = cluster.log_lengths();
    for _ in 0..20 {
        let clocks = cluster.all_clocks(newest);
        assert_eq!(clocks.values().map(|clock| clock.last_event).max(), Some(newest));
    }
    assert_eq!(cluster.log_lengths(), before, "polling an idle cluster writes to no log");
}

#[test]
fn a_replica_that_is_behind_tells_no_events() {
    let cluster = Cluster::initialized(1);
    let users = users();
    cluster.client.signup(&users[0]);
    cluster.client.put(&users[0], "/pub/a", b"x");
    let clock = cluster.all_clocks(0)[&users[0].shard()];
    let request =
        |tick_max: u64, shards: Vec<u32>| PageRequest { shards, tick_max, ..PageRequest::default() };
    let shard = users[0].shard();
    assert_eq!(events(cluster.read(0, &request(clock.closed, vec![shard]))).len(), 1);
    let ahead = cluster.read(0, &request(clock.closed + 1, vec![shard]));
    assert_eq!((ahead.rows.len(), ahead.behind), (0, vec![shard]));
    let foreign = cluster.read(0, &request(0, vec![shard, SHARDS]));
    assert_eq!((foreign.rows.len(), foreign.behind), (0, vec![SHARDS]));
}

#[test]
fn followers_hear_of_each_shards_newest_event() {
    let cluster = Cluster::initialized(1);
    let user = users().swap_remove(0);
    cluster.client.signup(&user);
    cluster.client.put(&user, "/pub/a", b"x");
    let request = FollowRequest { version: WIRE_VERSION };
    let mut marks =
        cluster.feed(0, async |mut feed| feed.follow(request).await.expect("follows").into_inner());
    let mut next = || {
        let mark = async {
            loop {
                let reply = marks.next().await.expect("goes on").expect("no error");
                if let Some(mark) = reply.marks.first() {
                    return *mark;
                }
            }
        };
        let told = cluster.client.runtime.block_on(async { tokio::time::timeout(GENEROUS, mark).await });
        told.expect("a mark in time")
    };
    let first = next();
    assert_eq!(
        (first.shard, first.last_event),
        (user.shard(), cluster.all_clocks(0)[&user.shard()].last_event)
    );
    cluster.client.put(&user, "/pub/b", b"x");
    let second = next();
    assert!(second.shard == first.shard && second.last_event > first.last_event);
}
