//! Parts of chunks over the wire.

use std::ops::Range;

use super::repair::rot;
use super::*;

const OBJECT: [u8; 16] = [9; 16];

/// A part of one chunk, as node `n` has it.
fn part(cluster: &Cluster, n: usize, user: &User, index: u32, part: Range<usize>) -> Option<Vec<u8>> {
    let (part_from, part_bytes) = (part.start as u32, part.len() as u32);
    let (object, to) = (OBJECT.to_vec().into(), index + 1);
    let request = FetchRequest { object, from: index, to, part_from, part_bytes, ..FetchRequest::default() };
    fetched(cluster, n, user, request)
}

#[test]
fn nodes_give_parts_of_chunks_and_nothing_unchecked() {
    let cluster = Cluster::initialized_with(3, |config| {
        quick(config);
        config.objects.scrub_interval_s = Duration::from_secs(3600);
    });
    let user = User::new(47);
    cluster.client.signup(&user);
    let body = body_of(9, CHUNK_BYTES + 700);
    upload(&cluster, &user, "/pub/a", OBJECT, &body, &[0, 1, 2]);
    let last = CHUNK_BYTES - 1;
    for n in 0..3 {
        for span in [0..1, last..CHUNK_BYTES, 16_383..16_385, 0..CHUNK_BYTES] {
            let got = part(&cluster, n, &user, 0, span.clone());
            assert!(got.as_deref() == Some(&body[span.clone()]), "{span:?} of node {n}");
        }
        let got = part(&cluster, n, &user, 1, 600..700).expect("the last chunk");
        assert!(got == body[CHUNK_BYTES + 600..], "node {n}");
        assert_eq!(part(&cluster, n, &user, 2, 0..1), None, "no such chunk");
        assert_eq!(part(&cluster, n, &user, 0, last..CHUNK_BYTES + 1), None, "beyond a chunk");
    }
    let two = FetchRequest {
        object: OBJECT.to_vec().into(),
        to: 2,
        part_from: 5,
        part_bytes: 1,
        ..FetchRequest::default()
    };
    assert_eq!(fetched(&cluster, 0, &user, two), None, "of two chunks");
    // Node 1 has learned the blocks of the chunk by now; the middle of its disk is in the chunk.
    rot(&cluster, 1);
    assert_eq!(part(&cluster, 1, &user, 0, 0..CHUNK_BYTES), None, "never wrong bytes");
    let mended = wait_for("the chunk to be mended", || part(&cluster, 1, &user, 0, 0..CHUNK_BYTES));
    assert!(mended == body[..CHUNK_BYTES]);
}
