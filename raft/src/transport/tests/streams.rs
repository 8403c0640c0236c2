//! Append streams on the log lane over the simulated wire.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use openraft::errors::RPCError;
use openraft::network::{NetStreamAppend, RaftNetworkFactory};
use openraft::raft::StreamAppendError;
use openraft::{AsyncRuntime, Instant};
use rowhouse_proto::wire::transport::v1::frame::Body;
use rowhouse_proto::wire::transport::v1::{Frame, SnapshotChunk, SnapshotReply};

use super::replica::*;
use crate::Replica;
use crate::config::RaftTiming;
use crate::runtime::Production;
use crate::sim::Simulation;
use crate::transport::{
    Inbox, Lane, LinkError, NodeUuid, STAMP_AGE_MAX, STREAM_IDLE, Transport, WINDOW_FRAMES, Wire,
};

fn now() -> <Simulation as AsyncRuntime>::Instant {
    Instant::now()
}

#[test]
fn answers_come_in_order_and_many_are_under_way() {
    for seed in 0..20 {
        sim(seed, async {
            let pair = Pair::new(Scripted::default());
            let mut network = pair.log(FOLLOWER).await;
            let requests = futures::stream::iter((0..500).map(append));
            let mut answers = network.stream_append(requests, option()).await.expect("a stream");
            for index in 0..500 {
                let answer = answers.next().await.expect("an answer for each request");
                assert_eq!(answer.expect("a link"), Ok(Some(log_id(index))), "seed {seed}");
            }
            assert!(answers.next().await.is_none());
            let ahead = pair.follower.ahead.load(Ordering::Relaxed);
            assert!((2..=WINDOW_FRAMES as u64).contains(&ahead), "{ahead} were under way");
        });
    }
}

#[test]
fn a_conflict_ends_the_stream() {
    sim(1, async {
        let pair = Pair::new(Scripted { conflict_at: Some(5), ..Scripted::default() });
        let mut network = pair.log(FOLLOWER).await;
        let requests = futures::stream::iter((0..500).map(append));
        let answers = network.stream_append(requests, option()).await.expect("a stream");
        let answers: Vec<_> = answers.collect().await;
        assert_eq!(answers.len(), 6);
        let last = answers.last().expect("six").as_ref().expect("a link");
        assert_eq!(*last, Err(StreamAppendError::Conflict(log_id(5))));
        // The next stream is a new one.
        let again =
            network.stream_append(futures::stream::iter([append(6)]), option()).await.expect("a stream");
        let again: Vec<_> = again.collect().await;
        assert_eq!(*again[0].as_ref().expect("a link"), Ok(Some(log_id(6))));
    });
}

#[test]
fn nothing_is_stamped_while_an_old_request_waits_for_its_answer() {
    sim(4, async {
        let pair = Pair::new(Scripted { silent: true, ..Scripted::default() });
        let mut network = pair.log(FOLLOWER).await;
        let made = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = made.clone();
        let requests = futures::stream::iter([0, 1, 2]).then(move |index| {
            let counter = counter.clone();
            async move {
                Simulation::sleep(STAMP_AGE_MAX * 2 / 3).await;
                counter.fetch_add(1, Ordering::Relaxed);
                append(index)
            }
        });
        let mut answers = network.stream_append(Box::pin(requests), option()).await.expect("a stream");
        let waited = Simulation::timeout(STAMP_AGE_MAX * 10, answers.next()).await;
        assert!(waited.is_err(), "the follower is silent");
        assert_eq!(made.load(Ordering::Relaxed), 2, "the third came when the first was too old");
    });
}

/// Takes frames and answers none.
#[derive(Default)]
struct Hole(Mutex<Vec<Frame>>);

impl Wire for Hole {
    fn attach(&self, _: Weak<dyn Inbox>) {}

    fn send(&self, _: NodeUuid, _: Lane, frame: Frame) -> Result<(), LinkError> {
        self.0.lock().expect("no panic with the lock").push(frame);
        Ok(())
    }

    fn send_snapshot(
        &self,
        _: NodeUuid,
        _: BoxStream<'static, SnapshotChunk>,
    ) -> BoxFuture<'static, Result<SnapshotReply, LinkError>> {
        futures::future::pending().boxed()
    }
}

/// In real time: virtual time stands still within a poll.
#[test]
fn a_request_stamped_after_a_pause_of_the_thread_is_not_sent() {
    type Moment = <Production as AsyncRuntime>::Instant;
    Production::new(1).block_on(async {
        let wire = Arc::<Hole>::default();
        let transport =
            Transport::<Production>::new(wire.clone(), std::env::temp_dir(), RaftTiming::default());
        let mut network =
            transport.network(GROUP, LEADER).new_client(FOLLOWER, &Replica { node_uuid: B }).await;
        let mut made = 0;
        let requests = futures::stream::poll_fn(move |_| {
            if made == 1 {
                let resumed = Moment::now() + STAMP_AGE_MAX * 3 / 2;
                while Moment::now() < resumed {
                    std::hint::spin_loop();
                }
            }
            made += 1;
            Poll::Ready(Some(append(made)))
        });
        let answers = network.stream_append(requests.take(3), option()).await.expect("a stream");
        let answers: Vec<_> = answers.collect().await;
        assert!(matches!(answers[..], [Err(RPCError::Unreachable(_))]), "{answers:?}");
        let sent = wire.0.lock().expect("no panic with the lock");
        let appends = sent.iter().filter(|frame| matches!(frame.body, Some(Body::Append(_)))).count();
        assert_eq!(appends, 1, "an answer to the first would be credited with the stamp of the second");
    });
}

#[test]
fn a_lost_link_fails_what_waits_on_it() {
    sim(2, async {
        let pair = Pair::new(Scripted { silent: true, ..Scripted::default() });
        let mut network = pair.log(FOLLOWER).await;
        let requests = futures::stream::iter([append(0)]).chain(futures::stream::pending());
        let mut answers = network.stream_append(Box::pin(requests), option()).await.expect("a stream");
        let net = pair.net.clone();
        drop(Simulation::spawn(async move {
            Simulation::sleep(Duration::from_millis(100)).await;
            net.break_links(B);
        }));
        let start = now();
        let answer = answers.next().await.expect("an error");
        assert!(matches!(answer, Err(RPCError::Unreachable(_))), "{answer:?}");
        assert!(now() - start < STREAM_IDLE, "the deadline found it, not the lost link");
        assert!(answers.next().await.is_none());
    });
}

#[test]
fn an_idle_stream_learns_of_a_lost_link() {
    sim(3, async {
        let pair = Pair::new(Scripted::default());
        let mut network = pair.log(FOLLOWER).await;
        let requests = futures::stream::iter([append(0)]).chain(futures::stream::pending());
        let mut answers = network.stream_append(Box::pin(requests), option()).await.expect("a stream");
        answers.next().await.expect("an answer").expect("a link").expect("a match");
        pair.net.break_links(B);
        let answer = answers.next().await.expect("an error");
        assert!(matches!(answer, Err(RPCError::Unreachable(_))), "{answer:?}");
    });
}

#[test]
fn a_silent_peer_is_given_up_on() {
    sim(4, async {
        let pair = Pair::new(Scripted { silent: true, ..Scripted::default() });
        let mut network = pair.log(FOLLOWER).await;
        let start = now();
        // New requests do not keep a stuck stream alive.
        let requests = futures::stream::iter(0..).then(|index| async move {
            Simulation::sleep(Duration::from_millis(900)).await;
            append(index)
        });
        let answers = network.stream_append(Box::pin(requests), option()).await.expect("a stream");
        let answers: Vec<_> = answers.collect().await;
        assert!(matches!(answers[..], [Err(RPCError::Unreachable(_))]), "{answers:?}");
        assert!(now() - start < STREAM_IDLE * 2);
    });
}

#[test]
fn a_stream_to_a_replica_that_is_not_here_is_rejected() {
    sim(5, async {
        let pair = Pair::new(Scripted::default());
        let mut network = pair.log(99).await;
        let answers =
            network.stream_append(futures::stream::iter([append(0)]), option()).await.expect("a stream");
        let answers: Vec<_> = answers.collect().await;
        let [Err(error)] = &answers[..] else { panic!("{answers:?}") };
        assert!(error.to_string().contains("not on this node"), "{error}");
        assert_eq!(pair.follower.received.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn unregistering_a_replica_ends_its_streams() {
    sim(6, async {
        let pair = Pair::new(Scripted::default());
        let mut network = pair.log(FOLLOWER).await;
        let requests = futures::stream::iter([append(0)]).chain(futures::stream::pending());
        let mut answers = network.stream_append(Box::pin(requests), option()).await.expect("a stream");
        answers.next().await.expect("an answer").expect("a link").expect("a match");
        pair.b.unregister(GROUP, FOLLOWER);
        let answer = answers.next().await.expect("an error");
        assert!(matches!(answer, Err(RPCError::Unreachable(_))), "{answer:?}");
        assert_eq!(pair.follower.streams_ended.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_stream_the_sender_leaves_is_closed_at_the_receiver() {
    sim(7, async {
        let pair = Pair::new(Scripted::default());
        let mut network = pair.log(FOLLOWER).await;
        let requests = futures::stream::iter([append(0)]).chain(futures::stream::pending());
        let mut answers = network.stream_append(Box::pin(requests), option()).await.expect("a stream");
        answers.next().await.expect("an answer").expect("a link").expect("a match");
        assert_eq!(pair.follower.streams_ended.load(Ordering::Relaxed), 0);
        drop(answers);
        let ended = pair.follower.streams_ended.clone();
        eventually("the stream ends", || ended.load(Ordering::Relaxed) == 1).await;
    });
}

#[test]
fn a_partition_is_survived() {
    for seed in 0..20 {
        sim(seed, async {
            let pair = Pair::new(Scripted::default());
            let mut network = pair.log(FOLLOWER).await;
            pair.net.partition(A, B, seed % 2 == 0);
            let once =
                network.stream_append(futures::stream::iter([append(0)]), option()).await.expect("a stream");
            let once: Vec<_> = once.collect().await;
            assert!(matches!(once[..], [Err(RPCError::Unreachable(_))]), "{once:?}");
            pair.net.heal();
            for attempt in 0.. {
                assert!(attempt < 100, "never reachable again");
                let again = network
                    .stream_append(futures::stream::iter([append(0)]), option())
                    .await
                    .expect("a stream");
                let again: Vec<_> = again.collect().await;
                if let [Ok(answer)] = &again[..] {
                    assert_eq!(*answer, Ok(Some(log_id(0))));
                    break;
                }
                Simulation::sleep(Duration::from_millis(100)).await;
            }
        });
    }
}
