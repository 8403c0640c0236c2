//! Users' packets on a real DHT: they never lapse while the cluster lives, and who left is never pulled back.

use std::time::{Duration, Instant};

use pkarr::{Keypair, PublicKey};
use rowhouse_proto::wire::meta::PacketStatus;

use super::client::User;
use super::dht::{TestDht, pointing};
use super::harness::{Cluster, SECRET, wait_for};
use super::packet::gateway;

const NODES: usize = 8;
const SOON: Duration = Duration::from_secs(2);

fn home() -> PublicKey {
    Keypair::from_secret_key(&SECRET).public_key()
}

fn elsewhere() -> PublicKey {
    Keypair::from_secret_key(&[77; 32]).public_key()
}

fn key(seed: u8) -> Keypair {
    Keypair::from_secret_key(&[seed; 32])
}

fn told(cluster: &Cluster) -> Vec<PacketStatus> {
    (0..cluster.nodes.len()).filter_map(|n| cluster.status(n, false)?.packets).collect()
}

fn sum(cluster: &Cluster, of: impl Fn(&PacketStatus) -> u64) -> u64 {
    told(cluster).iter().map(of).sum()
}

/// Signs up, and publishes as a client does, a moment later.
fn sign_up(cluster: &Cluster, dht: &TestDht, seed: u8, us: u64) {
    cluster.client.signup(&User::new(seed));
    dht.publish(&pointing(&key(seed), us, &home()));
}

#[test]
fn the_network_forgets_everything_and_the_cluster_brings_all_of_it_back() {
    let mut dht = TestDht::start(NODES);
    let mut cluster = Cluster::initialized_with(3, dht.configure(Duration::from_secs(10)));
    cluster.client.announce(&gateway("127.0.0.1"));
    let users: Vec<u8> = (101..=112).collect();
    for seed in &users {
        sign_up(&cluster, &dht, *seed, u64::from(*seed));
    }
    wait_for("all packets to be kept", || {
        (sum(&cluster, |told| told.kept) == users.len() as u64).then_some(())
    });
    (0..3).for_each(|n| cluster.kill(n));
    dht.forget();
    assert!(users.iter().all(|seed| dht.look(&key(*seed).public_key()).newest.is_none()));
    (0..3).for_each(|n| cluster.restart(n));
    wait_for("the homeserver's packet", || dht.look(&home()).newest);
    for seed in &users {
        wait_for("a user's packet, without any client", || {
            dht.finds(&key(*seed).public_key(), u64::from(*seed)).then_some(())
        });
    }
    assert!(sum(&cluster, |told| told.restored) >= users.len() as u64);
    cluster.assert_converged();
}

#[test]
fn a_cluster_starts_without_a_network_and_publishes_when_it_comes() {
    let mut dht = TestDht::start(NODES);
    dht.end();
    let cluster = Cluster::initialized_with(3, dht.configure(SOON));
    cluster.client.announce(&gateway("127.0.0.1"));
    let user = User::new(120);
    cluster.client.signup(&user);
    cluster.client.put(&user, "/pub/a", b"served");
    wait_for("a packet to be committed", || {
        cluster.running().all(|node| !node.map().packet.is_empty()).then_some(())
    });
    wait_for("it to be told that nobody answers", || {
        told(&cluster)
            .iter()
            .any(|told| told.vantage_points.iter().any(|point| point.failures > 0))
            .then_some(())
    });
    dht.forget();
    wait_for("the homeserver's packet", || dht.look(&home()).newest);
}

/// Until every shard's users were looked at so often again.
fn passes(cluster: &Cluster, more: u64) {
    let least = |cluster: &Cluster| sum(cluster, |told| told.passes);
    let before = least(cluster);
    wait_for("some passes", || (least(cluster) >= before + more).then_some(()));
}

#[test]
fn a_user_who_left_is_never_pulled_back() {
    let mut dht = TestDht::start(NODES);
    let mut cluster = Cluster::initialized_with(3, dht.configure(SOON));
    let (user, old_us, new_us) = (key(130), 1_000, 2_000);
    let public = user.public_key();
    sign_up(&cluster, &dht, 130, old_us);
    wait_for("the packet to be kept", || (sum(&cluster, |told| told.kept) == 1).then_some(()));
    dht.publish(&pointing(&user, new_us, &elsewhere()));
    wait_for("the user to have left", || (sum(&cluster, |told| told.left) == 1).then_some(()));
    assert_eq!(sum(&cluster, |told| told.kept), 0);
    // The network forgets where the user is now, and still has where the user was.
    dht.forget();
    dht.publish(&pointing(&user, old_us, &home()));
    let (own, seen) = (dht.puts(&public).len(), |dht: &TestDht| dht.puts(&public).len());
    passes(&cluster, 8);
    assert_eq!(seen(&dht), own, "the old packet is left alone");
    let leader = cluster.leader_of(User::new(130).shard());
    cluster.kill(leader);
    cluster.restart(leader);
    passes(&cluster, 8);
    assert_eq!(seen(&dht), own, "by the next leader too");
    // Nobody has anything: there is nothing to bring back either.
    dht.forget();
    passes(&cluster, 8);
    assert_eq!(seen(&dht), own);
    // The user comes back.
    dht.publish(&pointing(&user, new_us + 1, &home()));
    wait_for("the packet to be kept", || (sum(&cluster, |told| told.kept) == 1).then_some(()));
    assert_eq!(sum(&cluster, |told| told.left), 0);
    cluster.assert_converged();
}

#[test]
fn users_who_move_while_leaders_are_killed_stay_where_they_went() {
    let dht = TestDht::start(NODES);
    let mut cluster = Cluster::initialized_with(3, dht.configure(SOON));
    let seeds: Vec<u8> = (140..152).collect();
    for seed in &seeds {
        sign_up(&cluster, &dht, *seed, 1_000);
    }
    wait_for("all packets to be kept", || {
        (sum(&cluster, |told| told.kept) == seeds.len() as u64).then_some(())
    });
    for (n, seed) in seeds.iter().enumerate() {
        dht.publish(&pointing(&key(*seed), 2_000, &elsewhere()));
        if n % 4 == 3 {
            let leader = cluster.leader_of(User::new(*seed).shard());
            cluster.kill(leader);
            cluster.restart(leader);
        }
    }
    wait_for("all to have left", || (sum(&cluster, |told| told.left) == seeds.len() as u64).then_some(()));
    let stale = |seed: &u8| {
        let puts = dht.puts(&key(*seed).public_key());
        // Looks that were under way when the user moved may end a moment later.
        let moved = puts.iter().position(|put| put.seq == 2_000).expect("it moved");
        puts[moved..].iter().filter(|put| put.seq < 2_000).count()
    };
    let before: Vec<usize> = seeds.iter().map(stale).collect();
    passes(&cluster, 12);
    assert_eq!(seeds.iter().map(stale).collect::<Vec<_>>(), before, "nothing old once it is known");
    for seed in &seeds {
        assert!(dht.finds(&key(*seed).public_key(), 2_000));
    }
    cluster.assert_converged();
}

#[test]
fn a_new_user_is_noted_within_seconds_although_passes_are_far_apart() {
    let dht = TestDht::start(NODES);
    let cluster = Cluster::initialized_with(3, dht.configure(Duration::from_secs(4 * 3600)));
    wait_for("the first passes", || (sum(&cluster, |told| told.passes) >= 4).then_some(()));
    let began = Instant::now();
    sign_up(&cluster, &dht, 160, 1_000);
    wait_for("the packet to be kept", || (sum(&cluster, |told| told.kept) == 1).then_some(()));
    println!("kept after {:?}", began.elapsed());
    let public = key(160).public_key();
    wait_for("it to be published", || (sum(&cluster, |told| told.published) >= 1).then_some(()));
    assert!(dht.finds(&public, 1_000));
}

/// A benchmark: run it by name, with `--run-ignored all`.
#[test]
#[ignore = "takes minutes"]
fn ten_thousand_users_come_back_in_one_pass() {
    let users: u32 =
        std::env::var("ROWHOUSE_USERS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let mut dht = TestDht::start_large(30);
    let configure = dht.configure(Duration::from_secs(600));
    let mut cluster = Cluster::initialized_with(3, move |config| {
        configure(config);
        config.pkarr.users_per_second = 1_000;
        (config.limits.attempts_per_second, config.limits.attempts_burst) = (1_000_000, 1_000_000);
    });
    let key = |n: u32| {
        let mut secret = [7; 32];
        secret[..4].copy_from_slice(&n.to_be_bytes());
        Keypair::from_secret_key(&secret)
    };
    let began = Instant::now();
    for n in 0..users {
        cluster.client.signup(&User::of(&key(n).secret_key()));
    }
    println!("{users} users signed up in {:?}", began.elapsed());
    let packets: Vec<_> = (0..users).map(|n| pointing(&key(n), 1_000, &home())).collect();
    let began = Instant::now();
    dht.publish_all(&packets);
    println!("published in {:?}", began.elapsed());
    let patience = Duration::from_secs(1800);
    wait_long(patience, || sum(&cluster, |told| told.kept) == u64::from(users));
    println!("kept after {:?}", began.elapsed());
    (0..3).for_each(|n| cluster.kill(n));
    dht.forget();
    (0..3).for_each(|n| cluster.restart(n));
    let began = Instant::now();
    wait_long(patience, || sum(&cluster, |told| told.restored) >= u64::from(users));
    let took = began.elapsed();
    println!("{users} brought back in {took:?}: {:.1} a second", f64::from(users) / took.as_secs_f64());
    let lost = dht.lost(&packets);
    assert_eq!(lost, 0, "each is found by a client that just started");
}

fn wait_long(patience: Duration, mut until: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !until() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_secs(1));
    }
}
