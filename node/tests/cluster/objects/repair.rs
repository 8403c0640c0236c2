//! What a replica lacks or has damaged comes back from the others.

use std::os::unix::fs::FileExt;

use rowhouse_node::blobs::{BlobOptions, BlobStore, ScrubMark};

use super::*;

#[test]
fn a_replica_that_was_away_is_filled() {
    let mut cluster = Cluster::initialized_with(3, quick);
    let user = User::new(42);
    cluster.client.signup(&user);
    cluster.kill(0);
    let body = body_of(3, 3 * CHUNK_BYTES);
    upload(&cluster, &user, "/pub/a", [3; 16], &body, &[1, 2]);
    cluster.restart(0);
    let copy = wait_for("the copy", || fetch(&cluster, 0, &user, [3; 16], body.len()));
    assert!(copy == body);
    wait_for("nothing to be missing", || {
        let groups = cluster.status(0, false)?.groups;
        groups.iter().all(|group| group.objects_missing == 0).then_some(())
    });
}

/// Flips a byte in the middle of every chunk store file of a node.
pub(super) fn rot(cluster: &Cluster, n: usize) {
    let segments = cluster.dir(n).path().join("data/blobs/segments");
    for file in std::fs::read_dir(segments).expect("segments") {
        let path = file.expect("a segment").path();
        let file = std::fs::File::options().read(true).write(true).open(&path).expect("a segment");
        let middle = file.metadata().expect("metadata").len() / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, middle).expect("a byte");
        file.write_all_at(&[!byte[0]], middle).expect("written");
    }
}

fn repaired(cluster: &Cluster, n: usize) -> u64 {
    objects(cluster, n).expect("runs").repaired
}

#[test]
fn damage_is_found_by_a_read_and_mended() {
    let cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.scrub_interval_s = Duration::from_secs(3600);
    });
    let user = User::new(44);
    cluster.client.signup(&user);
    let body = body_of(8, CHUNK_BYTES);
    upload(&cluster, &user, "/pub/a", [8; 16], &body, &[0, 1, 2]);
    rot(&cluster, 1);
    assert_eq!(fetch(&cluster, 1, &user, [8; 16], body.len()), None, "never wrong bytes");
    let copy = wait_for("the chunk to be mended", || fetch(&cluster, 1, &user, [8; 16], body.len()));
    assert!(copy == body);
    wait_for("it to be counted", || (repaired(&cluster, 1) > 0).then_some(()));
    assert_eq!([0, 2].map(|n| repaired(&cluster, n)), [0, 0]);
}

#[test]
fn damage_is_found_by_the_scrub_and_mended() {
    let cluster = Cluster::initialized_with(3, quick);
    let user = User::new(45);
    cluster.client.signup(&user);
    let body = body_of(9, CHUNK_BYTES);
    upload(&cluster, &user, "/pub/a", [9; 16], &body, &[0, 1, 2]);
    rot(&cluster, 2);
    wait_for("the scrub to mend it", || (repaired(&cluster, 2) > 0).then_some(()));
    assert!(fetch(&cluster, 2, &user, [9; 16], body.len()).expect("whole") == body);
    assert!(objects(&cluster, 2).expect("runs").scrub_ended_ms > 0);
}

#[test]
fn a_copy_that_is_not_what_was_written_gives_way_to_one_that_is() {
    let cluster = Cluster::initialized_with(3, quick);
    let user = User::new(50);
    cluster.client.signup(&user);
    let (right, wrong) = (body_of(19, CHUNK_BYTES + 7), body_of(20, CHUNK_BYTES + 7));
    begin(&cluster, &user, "/pub/a", [19; 16]);
    // Their checksums hold: only the hash of the whole tells them apart.
    let copies = [&wrong, &wrong, &right];
    let holders = (0..3).map(|n| stage(&cluster, n, &user, [19; 16], copies[n])).collect();
    let op = put_op(&user, "/pub/a", [19; 16], &right, holders);
    cluster.client.execute(user.shard(), request_id(), op).expect("committed");
    for n in 0..3 {
        wait_for("the right copy", || {
            (fetch(&cluster, n, &user, [19; 16], right.len())? == right).then_some(())
        });
    }
}

#[test]
fn a_chunk_the_index_forgot_is_fetched_again() {
    let mut cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.scrub_interval_s = Duration::from_secs(3600);
    });
    let user = User::new(47);
    cluster.client.signup(&user);
    let body = body_of(13, 3 * CHUNK_BYTES);
    upload(&cluster, &user, "/pub/a", [13; 16], &body, &[0, 1, 2]);
    cluster.stop(2);
    // Bytes and index are gone together: nothing on that disk tells of what is missing.
    std::fs::remove_dir_all(cluster.dir(2).path().join("data/blobs")).expect("removed");
    cluster.restart(2);
    let copy = wait_for("the copy", || fetch(&cluster, 2, &user, [13; 16], body.len()));
    assert!(copy == body);
}

/// More than the log keeps whatever its age (2,000), and than goes between two snapshots.
const WRITES_THAT_PURGE: usize = 4_500;

#[test]
fn a_replica_that_needs_a_snapshot_is_filled_and_forgets_what_was_replaced() {
    let mut cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.upload_expiry_s = Duration::from_secs(60);
        config.storage.log_keep_s = Duration::from_secs(1);
    });
    let user = User::new(48);
    cluster.client.signup(&user);
    let (old, new) = (body_of(14, 2 * CHUNK_BYTES), body_of(15, 3 * CHUNK_BYTES + 1));
    upload(&cluster, &user, "/pub/kept", [14; 16], &old, &[0, 1, 2]);
    upload(&cluster, &user, "/pub/replaced", [15; 16], &old, &[0, 1, 2]);
    let behind = shard_status(&cluster, 0, &user).last_log;
    cluster.kill(0);
    upload(&cluster, &user, "/pub/replaced", [16; 16], &new, &[1, 2]);
    let leader = cluster.leader_of(user.shard());
    cluster.client.put_often(cluster.address(leader), &user, "/pub/small", WRITES_THAT_PURGE);
    wait_for("the log that node 0 lacks to be gone", || {
        [1, 2].iter().all(|n| shard_status(&cluster, *n, &user).purged > behind).then_some(())
    });
    cluster.restart(0);
    for (object, body) in [([14; 16], &old), ([16; 16], &new)] {
        let copy = wait_for("the copy", || fetch(&cluster, 0, &user, object, body.len()));
        assert!(copy == *body);
    }
    wait_for("what was replaced to be erased", || {
        (cluster.status(0, true)?.objects?.held == Some(2)).then_some(())
    });
    wait_for("nothing to be missing", || {
        (shard_status(&cluster, 0, &user).objects_missing == 0).then_some(())
    });
    cluster.assert_converged();
}

#[test]
fn a_scrub_is_due_when_it_was_and_goes_on_where_it_was() {
    let mut cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.scrub_interval_s = Duration::from_secs(3600);
    });
    let user = User::new(49);
    cluster.client.signup(&user);
    let body = body_of(17, CHUNK_BYTES);
    upload(&cluster, &user, "/pub/a", [17; 16], &body, &[0, 1, 2]);
    rot(&cluster, 1);
    upload(&cluster, &user, "/pub/b", [18; 16], &body, &[0, 1, 2]);
    let replica = shard_status(&cluster, 1, &user).replica_id;
    let scrub_at = |cluster: &mut Cluster, change: &dyn Fn(&mut ScrubMark)| {
        cluster.stop(1);
        let dir = cluster.dir(1).path().join("data/blobs");
        let blobs = BlobStore::open(&dir, BlobOptions::default()).expect("opened");
        let mut mark = blobs.scrub_mark().expect("readable");
        assert!(mark.due_ms > 0, "known since the first start");
        change(&mut mark);
        blobs.set_scrub_mark(&mark).expect("written");
        drop(blobs);
        cluster.restart(1);
    };
    let has_ended = |cluster: &Cluster| (objects(cluster, 1)?.scrub_ended_ms > 0).then_some(());
    // What is left to read lies behind what is damaged.
    scrub_at(&mut cluster, &|mark| mark.cursor = Some((replica, [17; 16])));
    wait_for("the scrub to end", || has_ended(&cluster));
    assert_eq!((objects(&cluster, 1).expect("runs").scrubbed, repaired(&cluster, 1)), (1, 0));
    scrub_at(&mut cluster, &|_| {});
    wait_for("its end to be known after the restart", || has_ended(&cluster));
    scrub_at(&mut cluster, &|mark| mark.due_ms = 1);
    wait_for("the scrub to mend it", || (repaired(&cluster, 1) > 0).then_some(()));
}
