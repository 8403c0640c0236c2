//! Calls on the control lane: votes, heartbeats, transfers, over the simulated wire.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use openraft::errors::RPCError;
use openraft::network::{NetStreamAppend, NetTransferLeader, NetVote};
use openraft::raft::{TransferLeaderError, TransferLeaderRequest, VoteRequest};
use openraft::{AsyncRuntime, Instant};

use super::replica::*;
use crate::codec::Vote;
use crate::sim::Simulation;
use crate::transport::VoteGuard;

const LEASE: Duration = Duration::from_millis(600);

fn candidate(transfer: bool) -> VoteRequest<Types> {
    VoteRequest { vote: Vote::new(7, LEADER), last_log_id: Some(log_id(4)), leadership_transfer: transfer }
}

fn now() -> <Simulation as AsyncRuntime>::Instant {
    Instant::now()
}

#[test]
fn a_vote_and_a_pre_vote_are_answered() {
    sim(1, async {
        let pair = Pair::new(Scripted::default());
        let mut network = pair.control(FOLLOWER).await;
        assert!(network.vote(candidate(false), option()).await.expect("an answer").vote_granted);
        assert!(network.pre_vote(candidate(false), option()).await.expect("an answer").vote_granted);
        assert_eq!(pair.follower.votes.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_restarted_voter_refuses_votes_until_the_lease_it_granted_is_over() {
    sim(2, async {
        let guard = VoteGuard::new(Some(Vote::new_committed(1, LEADER)), LEASE);
        let pair = Pair::guarded(Scripted::default(), guard);
        let mut network = pair.control(FOLLOWER).await;
        for _ in 0..3 {
            let vote = network.vote(candidate(false), option()).await.expect("an answer");
            let pre_vote = network.pre_vote(candidate(false), option()).await.expect("an answer");
            assert!(!vote.vote_granted && !vote.is_granted_to(&candidate(false).vote), "{vote:?}");
            assert!(!pre_vote.vote_granted, "{pre_vote:?}");
        }
        assert_eq!(pair.follower.votes.load(Ordering::Relaxed), 0, "the replica was asked");
        assert!(network.vote(candidate(true), option()).await.expect("an answer").vote_granted);
        Simulation::sleep(LEASE).await;
        assert!(network.vote(candidate(false), option()).await.expect("an answer").vote_granted);
    });
}

#[test]
fn a_heartbeat_is_answered_without_a_stream() {
    sim(3, async {
        let pair = Pair::new(Scripted::default());
        let mut network = pair.control(FOLLOWER).await;
        let mut heartbeat = append(8);
        heartbeat.entries.clear();
        let answers =
            network.stream_append(futures::stream::iter([heartbeat]), option()).await.expect("a stream");
        let answers: Vec<_> = answers.collect().await;
        assert_eq!(answers.len(), 1);
        assert_eq!(*answers[0].as_ref().expect("a link"), Ok(Some(log_id(7))));
        assert_eq!(pair.follower.received.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_call_ends_at_its_deadline() {
    sim(4, async {
        let pair = Pair::new(Scripted { silent: true, ..Scripted::default() });
        let mut network = pair.control(FOLLOWER).await;
        let start = now();
        let answers =
            network.stream_append(futures::stream::iter([append(0)]), option()).await.expect("a stream");
        let answers: Vec<_> = answers.collect().await;
        assert!(matches!(answers[..], [Err(RPCError::Unreachable(_))]), "{answers:?}");
        assert_eq!(now() - start, option().soft_ttl());
    });
}

#[test]
fn a_lost_link_fails_pending_calls() {
    sim(5, async {
        let pair = Pair::new(Scripted { silent: true, ..Scripted::default() });
        let mut network = pair.control(FOLLOWER).await;
        let net = pair.net.clone();
        drop(Simulation::spawn(async move {
            Simulation::sleep(Duration::from_millis(30)).await;
            net.crash(B);
        }));
        let start = now();
        let answers =
            network.stream_append(futures::stream::iter([append(0)]), option()).await.expect("a stream");
        let answers: Vec<_> = answers.collect().await;
        assert!(matches!(answers[..], [Err(RPCError::Unreachable(_))]), "{answers:?}");
        assert!(now() - start < option().soft_ttl(), "the deadline found it, not the lost link");
    });
}

#[test]
fn a_call_to_a_replica_that_is_not_here_is_rejected() {
    sim(6, async {
        let pair = Pair::new(Scripted::default());
        pair.b.unregister(GROUP, FOLLOWER);
        let mut network = pair.control(FOLLOWER).await;
        let error = network.vote(candidate(false), option()).await.expect_err("nobody is there");
        assert!(error.to_string().contains("not on this node"), "{error}");
        assert_eq!(pair.follower.votes.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_refused_transfer_says_why() {
    sim(7, async {
        let pair = Pair::new(Scripted::default());
        let mut network = pair.control(FOLLOWER).await;
        let from = Vote::new_committed(1, LEADER);
        let request = TransferLeaderRequest::new(from, FOLLOWER, Some(log_id(4)));
        let refused = network.transfer_leader(request, option()).await.expect("an answer");
        let why = TransferLeaderError::VoteChanged { expected: from, actual: Vote::new(9, 9) };
        assert_eq!(refused, Err(why));
    });
}

#[test]
fn a_crashed_nodes_old_wire_is_dead() {
    sim(8, async {
        let pair = Pair::new(Scripted::default());
        let mut network = pair.control(FOLLOWER).await;
        pair.net.crash(A);
        pair.net.restart(A);
        assert!(network.vote(candidate(false), option()).await.is_err());
    });
}
