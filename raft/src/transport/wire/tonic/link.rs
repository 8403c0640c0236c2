//! The state of a link that this node dials: its queue, or the pause before the next attempt.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use openraft::{AsyncRuntime, Instant};
use rowhouse_proto::wire::transport::v1::Frame;
use rowhouse_proto::{Backoff, Spread};

use crate::lock::lock;
use crate::runtime::{Production, Runtime};
use crate::transport::wire::queue::{FrameReceiver, FrameSender, frame_queue};
use crate::transport::{Lane, LinkError, NodeUuid};

/// First pause after a link broke or could not be made.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Longest pause.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Spread, so that nodes do not dial in step.
const BACKOFF: Backoff = Backoff::new(BACKOFF_FIRST, BACKOFF_MAX, Spread::QuarterOnTop);
type Moment = <Production as AsyncRuntime>::Instant;

/// One link that this node dials.
pub(super) struct Link {
    pub(super) peer: NodeUuid,
    pub(super) lane: Lane,
    state: Mutex<State>,
}

enum State {
    /// Nothing is dialled, and nothing will be before `not_before`.
    Idle { backoff: Backoff, not_before: Option<Moment> },
    /// Connecting or connected; a closed queue means breaking down.
    Open { backoff: Backoff, queue: FrameSender },
}

impl Link {
    pub(super) fn new(peer: NodeUuid, lane: Lane) -> Arc<Self> {
        Arc::new(Self { peer, lane, state: Mutex::new(State::Idle { backoff: BACKOFF, not_before: None }) })
    }

    /// Queues a frame. If nothing is dialled, returns the queue of a new attempt, which the caller runs.
    pub(super) fn queue(&self, frame: Frame) -> Result<Option<FrameReceiver>, LinkError> {
        let mut state = self.state();
        let backoff = match &*state {
            State::Open { queue, .. } => return queue.try_send(frame).map(|()| None),
            State::Idle { not_before: Some(until), .. } if Moment::now() < *until => {
                return Err(LinkError::Down("it is not dialled again yet".to_owned()));
            }
            State::Idle { backoff, .. } => *backoff,
        };
        let (queue, frames) = frame_queue();
        queue.try_send(frame)?;
        *state = State::Open { backoff, queue };
        Ok(Some(frames))
    }

    /// The peer is alive, by another way: no reason to wait any longer.
    pub(super) fn revive(&self) {
        if let State::Idle { not_before, .. } = &mut *self.state() {
            *not_before = None;
        }
    }

    /// Both sides have named themselves.
    pub(super) fn connected(&self) {
        if let State::Open { backoff, .. } = &mut *self.state() {
            backoff.reset();
        }
    }

    /// The attempt has ended: nothing is dialled for a while.
    pub(super) fn rest(&self) {
        let mut state = self.state();
        if let State::Open { mut backoff, .. } = *state {
            let pause = backoff.pause(Production::random_u64());
            *state = State::Idle { backoff, not_before: Some(Moment::now() + pause) };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
