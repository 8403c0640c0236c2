//! Where a body lies, and when it is erased.

use super::*;

#[test]
fn a_body_on_two_disks_comes_to_the_third() {
    let cluster = Cluster::initialized_with(3, quick);
    let user = User::new(40);
    cluster.client.signup(&user);
    let body = body_of(1, 2 * CHUNK_BYTES + 12_345);
    upload(&cluster, &user, "/pub/a", [1; 16], &body, &[0, 2]);
    let stored = entry(&cluster, &user, "/pub/a");
    assert_eq!((stored.length, &stored.object[..]), (body.len() as u64, &[1; 16][..]));
    for n in 0..3 {
        let copy = wait_for("the copy", || fetch(&cluster, n, &user, [1; 16], body.len()));
        assert!(copy == body, "node {n}");
    }
    // By whichever came first: filling, or the read above that found it lacking.
    wait_for("it to be counted", || {
        let status = objects(&cluster, 1)?;
        (status.filled + status.repaired > 0).then_some(())
    });
    cluster.assert_converged();
}

#[test]
fn one_copy_is_not_enough() {
    let cluster = Cluster::initialized_with(3, quick);
    let user = User::new(41);
    cluster.client.signup(&user);
    let body = body_of(2, CHUNK_BYTES + 1);
    begin(&cluster, &user, "/pub/a", [2; 16]);
    let one = stage(&cluster, 1, &user, [2; 16], &body);
    for holders in [vec![], vec![one], vec![one, one], vec![one, 999]] {
        let op = put_op(&user, "/pub/a", [2; 16], &body, holders);
        assert_eq!(refusal(&cluster, &user, &op), Some(ErrorCode::TooFewCopies));
    }
    assert_eq!(cluster.client.get(&user, "/pub/a"), None);
    let two = stage(&cluster, 2, &user, [2; 16], &body);
    let op = put_op(&user, "/pub/a", [2; 16], &body, vec![one, two]);
    cluster.client.execute(user.shard(), request_id(), op).expect("two of three");
}

#[test]
fn what_nobody_refers_to_is_erased_everywhere() {
    let cluster = Cluster::initialized_with(3, quick);
    let user = User::new(43);
    cluster.client.signup(&user);
    let body = body_of(4, CHUNK_BYTES + 5);
    upload(&cluster, &user, "/pub/a", [4; 16], &body, &[0, 1, 2]);
    upload(&cluster, &user, "/pub/a", [5; 16], &body, &[0, 1, 2]);
    // Never committed, and never even begun.
    begin(&cluster, &user, "/pub/b", [6; 16]);
    for n in 0..3 {
        stage(&cluster, n, &user, [6; 16], &body);
        stage(&cluster, n, &user, [7; 16], &body);
    }
    for object in [[4; 16], [6; 16], [7; 16]] {
        for n in 0..3 {
            wait_for("chunks to be erased", || {
                fetch(&cluster, n, &user, object, body.len()).is_none().then_some(())
            });
        }
    }
    for n in 0..3 {
        assert!(fetch(&cluster, n, &user, [5; 16], body.len()).expect("the live one") == body);
        assert!(objects(&cluster, n).expect("runs").swept >= 1);
    }
    cluster.assert_converged();
}

#[test]
fn a_reader_that_began_before_an_overwrite_ends_with_the_old_bytes() {
    let cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.garbage_grace_s = Duration::from_secs(3600);
    });
    let user = User::new(46);
    cluster.client.signup(&user);
    let (old, new) = (body_of(10, 2 * CHUNK_BYTES), body_of(11, CHUNK_BYTES));
    upload(&cluster, &user, "/pub/a", [10; 16], &old, &[0, 1, 2]);
    let reader = entry(&cluster, &user, "/pub/a");
    upload(&cluster, &user, "/pub/a", [11; 16], &new, &[0, 1, 2]);
    // Dead later than an overwritten body would be, if that died at once.
    begin(&cluster, &user, "/pub/b", [12; 16]);
    stage(&cluster, 1, &user, [12; 16], &new);
    wait_for("an expired upload to be erased", || {
        fetch(&cluster, 1, &user, [12; 16], new.len()).is_none().then_some(())
    });
    let object: [u8; 16] = reader.object[..].try_into().expect("an object");
    assert!(fetch(&cluster, 1, &user, object, old.len()).expect("still there") == old);
}
