use std::time::Duration;

use bytes::Bytes;
use rowhouse_proto::wire::raft::{AppendRequest, Entry, Envelope, VoteRequest, entry};
use rowhouse_proto::wire::transport::v1::AppendReply;

use super::*;
use crate::sim::Simulation;

fn sim<T>(test: impl Future<Output = T>) -> T {
    openraft::AsyncRuntime::block_on(&mut Simulation::with_seed(1), test)
}

fn now() -> <Simulation as openraft::AsyncRuntime>::Instant {
    Instant::now()
}

fn frame(stream: u64, seq: u64, body: Body) -> Frame {
    Frame { group: 1, stream, seq, body: Some(body), ..Frame::default() }
}

fn heartbeat(stream: u64) -> Frame {
    frame(stream, 0, Body::Append(AppendRequest::default()))
}

fn append(stream: u64, bytes: usize) -> Frame {
    let command = Bytes::from(vec![0; bytes]);
    let payload = entry::Payload::Normal(Envelope { command, ..Envelope::default() });
    let entries = vec![Entry { log_id: None, payload: Some(payload) }];
    frame(stream, 1, Body::Append(AppendRequest { entries, ..AppendRequest::default() }))
}

fn ids(batch: Option<Vec<Frame>>) -> Vec<u64> {
    batch.expect("a batch").iter().map(|frame| frame.stream).collect()
}

#[test]
fn a_lone_heartbeat_leaves_at_once() {
    sim(async {
        let (sender, receiver) = frame_queue();
        let mut batcher = Batcher::<Simulation>::new(receiver);
        let start = now();
        sender.try_send(heartbeat(1)).expect("room");
        assert_eq!(ids(batcher.next().await), [1]);
        assert_eq!(now(), start);
    });
}

#[test]
fn heartbeats_right_after_a_batch_leave_together() {
    sim(async {
        let (sender, receiver) = frame_queue();
        let mut batcher = Batcher::<Simulation>::new(receiver);
        sender.try_send(heartbeat(1)).expect("room");
        batcher.next().await;
        let start = now();
        drop(<Simulation as openraft::AsyncRuntime>::spawn(async move {
            for stream in 2..10 {
                sender.try_send(heartbeat(stream)).expect("room");
                <Simulation as openraft::AsyncRuntime>::sleep(Duration::from_micros(200)).await;
            }
        }));
        assert_eq!(ids(batcher.next().await), (2..10).collect::<Vec<_>>());
        assert!(now() - start <= HEARTBEAT_PACE);
    });
}

#[test]
fn a_vote_takes_waiting_heartbeats_with_it_at_once() {
    sim(async {
        let (sender, receiver) = frame_queue();
        let mut batcher = Batcher::<Simulation>::new(receiver);
        sender.try_send(heartbeat(1)).expect("room");
        batcher.next().await;
        let start = now();
        sender.try_send(heartbeat(2)).expect("room");
        sender.try_send(frame(3, 0, Body::PreVote(VoteRequest::default()))).expect("room");
        assert_eq!(ids(batcher.next().await), [2, 3]);
        assert_eq!(now(), start);
    });
}

#[test]
fn a_stream_reply_does_not_wait() {
    sim(async {
        let (sender, receiver) = frame_queue();
        let mut batcher = Batcher::<Simulation>::new(receiver);
        sender.try_send(heartbeat(1)).expect("room");
        batcher.next().await;
        let start = now();
        sender.try_send(frame(2, 7, Body::AppendReply(AppendReply::default()))).expect("room");
        assert_eq!(ids(batcher.next().await), [2]);
        assert_eq!(now(), start);
    });
}

#[test]
fn a_batch_is_bounded_by_frames() {
    sim(async {
        let (sender, receiver) = frame_queue();
        let mut batcher = Batcher::<Simulation>::new(receiver);
        for stream in 0..100 {
            sender.try_send(heartbeat(stream)).expect("room");
        }
        assert_eq!(ids(batcher.next().await), (0..64).collect::<Vec<_>>());
        assert_eq!(ids(batcher.next().await), (64..100).collect::<Vec<_>>());
    });
}

#[test]
fn a_batch_is_bounded_by_bytes_and_keeps_order() {
    sim(async {
        let (sender, receiver) = frame_queue();
        let mut batcher = Batcher::<Simulation>::new(receiver);
        let large = FRAME_BYTES_MAX - 1024;
        sender.try_send(append(1, 1000)).expect("room");
        sender.try_send(append(2, large)).expect("room");
        sender.try_send(append(3, 1000)).expect("room");
        drop(sender);
        let mut order = Vec::new();
        while let Some(batch) = batcher.next().await {
            let bytes: usize = batch.iter().map(|frame| frame.encoded_len() + FRAME_OVERHEAD_BYTES).sum();
            assert!(bytes <= FRAME_BYTES_MAX, "{bytes}");
            order.extend(batch.iter().map(|frame| frame.stream));
        }
        assert_eq!(order, [1, 2, 3]);
    });
}

#[test]
fn the_queue_is_bounded_by_bytes_and_frees_them() {
    sim(async {
        let (sender, mut receiver) = frame_queue();
        let mut sent = 0;
        while sender.try_send(append(sent, 1024 * 1024)).is_ok() {
            sent += 1;
            assert!(sent < 100, "no bound");
        }
        assert_eq!(sender.try_send(append(0, 1024 * 1024)), Err(LinkError::Full));
        receiver.recv().await.expect("queued");
        assert_eq!(sender.try_send(append(0, 1024 * 1024)), Ok(()));
    });
}

#[test]
fn the_queue_is_bounded_by_frames() {
    let (sender, receiver) = frame_queue();
    for stream in 0..QUEUE_FRAMES_MAX as u64 {
        sender.try_send(heartbeat(stream)).expect("room");
    }
    assert_eq!(sender.try_send(heartbeat(0)), Err(LinkError::Full));
    drop(receiver);
    assert!(matches!(sender.try_send(heartbeat(0)), Err(LinkError::Down(_))));
}

#[test]
fn a_frame_no_message_can_carry_is_refused() {
    let (sender, _receiver) = frame_queue();
    let refused = sender.try_send(append(1, FRAME_BYTES_MAX));
    assert!(matches!(refused, Err(LinkError::TooLarge { .. })), "{refused:?}");
}

#[test]
fn a_commit_index_waits_for_the_next_entries_and_no_longer_than_its_linger() {
    sim(async {
        let (sender, receiver) = frame_queue();
        let mut batcher = Batcher::<Simulation>::new(receiver);
        let commit_only = |stream| frame(stream, 7, Body::Append(AppendRequest::default()));
        let start = now();
        sender.try_send(commit_only(1)).expect("room");
        assert_eq!(ids(batcher.next().await), [1]);
        assert_eq!(now() - start, COMMIT_LINGER);

        let start = now();
        sender.try_send(commit_only(2)).expect("room");
        sender.try_send(append(3, 100)).expect("room");
        assert_eq!(ids(batcher.next().await), [2, 3]);
        assert_eq!(now(), start);
    });
}

#[test]
fn a_reply_in_a_stream_leaves_at_once_unless_it_tells_nothing() {
    sim(async {
        let (sender, receiver) = frame_queue();
        let mut batcher = Batcher::<Simulation>::new(receiver);
        let reply = |seq| frame(1, seq, Body::AppendReply(AppendReply::default()));
        let start = now();
        sender.send_lingering(reply(1)).await.expect("room");
        sender.send(reply(2)).await.expect("room");
        assert_eq!(ids(batcher.next().await), [1, 1]);
        assert_eq!(now(), start);
        sender.send_lingering(reply(3)).await.expect("room");
        assert_eq!(ids(batcher.next().await), [1]);
        assert_eq!(now() - start, COMMIT_LINGER);
    });
}
