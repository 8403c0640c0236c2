//! tokio: real threads, real time.
#![expect(clippy::disallowed_methods, reason = "this is the adapter the rest of the crate goes through")]

use std::future::Future;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use openraft_rt::{AsyncRuntime, OptionalSend};
use openraft_rt_tokio::{TokioInstant, TokioRuntime};

use super::Runtime;

/// Wake-ups come at multiples of this. openraft wants the groups of a node to tick every 30 ms each, at random
/// phases, and steps over ticks that were missed: on a common grid one wake-up serves all of them, their
/// heartbeats leave in one batch, and an idle group costs 20 ticks a second. Heartbeats then go out every 150 to
/// 200 ms, half of the shortest election timeout.
const TIMER_GRID: Duration = Duration::from_millis(50);
/// Nearer moments are no ticks: openraft gathers completed writes for a microsecond.
const NEAR: Duration = Duration::from_millis(1);

/// The production runtime: tokio, with `sleep_until` on a grid.
#[derive(Debug)]
pub struct Production(TokioRuntime);

impl AsyncRuntime for Production {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = TokioInstant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = <TokioRuntime as AsyncRuntime>::Watch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(on_grid(deadline))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        Self(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

/// The first line of the grid at or after `deadline`; a near deadline as it is.
fn on_grid(deadline: TokioInstant) -> TokioInstant {
    static ORIGIN: OnceLock<TokioInstant> = OnceLock::new();
    let now = <TokioInstant as openraft_rt::Instant>::now();
    if deadline < now + NEAR {
        return deadline;
    }
    let origin = *ORIGIN.get_or_init(|| now);
    let past_line = (deadline - origin).as_micros() % TIMER_GRID.as_micros();
    match past_line {
        0 => deadline,
        past => deadline + (TIMER_GRID - Duration::from_micros(past as u64)),
    }
}

impl Runtime for Production {
    async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down; nobody polls this task again.
                Err(_) => std::future::pending().await,
            },
        }
    }

    fn wall_us() -> u64 {
        static START: OnceLock<(u64, Instant)> = OnceLock::new();
        let (wall, instant) = START.get_or_init(|| {
            let wall =
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
            (wall, Instant::now())
        });
        wall + instant.elapsed().as_micros() as u64
    }

    fn random_u64() -> u64 {
        rand::random()
    }
}

/// Starts a named thread for work that owns a disk (the log writer).
pub fn start_thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

#[cfg(test)]
mod tests {
    use openraft_rt::Instant as _;

    use super::*;

    #[test]
    fn far_deadlines_meet_on_the_grid_and_near_ones_stay() {
        let now = TokioInstant::now();
        let near = now + NEAR / 2;
        assert_eq!(on_grid(near), near);
        let line = on_grid(now + Duration::from_millis(100));
        let (early, late) = (line + TIMER_GRID / 10, line + TIMER_GRID - TIMER_GRID / 10);
        assert!(on_grid(early) >= late, "it wakes no earlier than asked");
        let apart = on_grid(late).max(on_grid(early)) - on_grid(late).min(on_grid(early));
        assert!(apart <= Duration::from_micros(2), "both wake together, not {apart:?} apart");
    }
}
