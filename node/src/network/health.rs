//! How a vantage point has answered lately, and whether it is left alone for a while.

use std::sync::Mutex;
use std::time::Duration;

use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::meta::VantagePoint;
use tokio::time::Instant;

/// After as many failures as are borne; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// The network may be back at any time, and the homeserver's packet shall be there within a minute of it.
const PAUSE_MAX: Duration = Duration::from_secs(16);
/// A relay may ask for more patience, and gets no more than this.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(600);

/// One for each vantage point.
pub struct Health {
    name: String,
    /// Failures in a row before it is left alone.
    patience: u32,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    answers: u64,
    failures: u64,
    answered: Option<Instant>,
    paused_until: Option<Instant>,
    /// Failures since the last answer.
    streak: u32,
    /// After a failure one request goes first: many would wait for nothing.
    probing: bool,
    problem: String,
}

impl Health {
    /// Nothing was asked yet. It is left alone after `patience` failures in a row.
    pub fn new(name: impl Into<String>, patience: u32) -> Self {
        Self { name: name.into(), patience, inner: Mutex::default() }
    }

    /// Permission to ask; `None` while the vantage point is left alone.
    pub fn visit(&self) -> Option<Visit<'_>> {
        let mut inner = lock(&self.inner);
        if inner.paused_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        if inner.streak >= self.patience {
            if inner.probing {
                return None;
            }
            inner.probing = true;
        }
        Some(Visit { health: self, told: false })
    }

    /// For operators.
    pub fn told(&self) -> VantagePoint {
        let (inner, now) = (lock(&self.inner), Instant::now());
        let paused = inner.paused_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        VantagePoint {
            name: self.name.clone(),
            answers: inner.answers,
            failures: inner.failures,
            answered_s: inner.answered.map_or(u64::MAX, |at| now.saturating_duration_since(at).as_secs()),
            paused_s: paused.as_secs_f64().ceil() as u64,
            problem: inner.problem.clone(),
        }
    }
}

/// One request. Whoever drops it without a word has given up waiting.
pub struct Visit<'a> {
    health: &'a Health,
    told: bool,
}

impl Visit<'_> {
    /// An answer came, whatever it says.
    pub fn answered(mut self) {
        self.told = true;
        let mut inner = lock(&self.health.inner);
        *inner = Inner {
            answers: inner.answers + 1,
            failures: inner.failures,
            answered: Some(Instant::now()),
            ..Inner::default()
        };
    }

    /// No use was to be had of it. `asked`: it wants to be left alone for so long.
    pub fn failed(mut self, problem: impl Into<String>, asked: Option<Duration>) {
        self.told = true;
        self.health.fail(problem.into(), asked);
    }
}

impl Health {
    fn fail(&self, problem: String, asked: Option<Duration>) {
        let mut inner = lock(&self.inner);
        let now = Instant::now();
        inner.failures += 1;
        inner.probing = false;
        inner.problem = problem;
        // Requests that were under way together fail together, and are one failure.
        if inner.paused_until.is_none_or(|until| until <= now) {
            inner.streak = inner.streak.saturating_add(1);
            let beyond = inner.streak.checked_sub(self.patience);
            let pause = beyond.map(|beyond| PAUSE_MIN.saturating_mul(1 << beyond.min(8)).min(PAUSE_MAX));
            inner.paused_until = pause.map(|pause| now + pause);
        }
        let asked = asked.map(|asked| now + asked.min(ASKED_PAUSE_MAX));
        inner.paused_until = inner.paused_until.max(asked);
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.health.fail("no answer in time".to_owned(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_fails_is_left_alone_for_longer_each_time_and_asked_by_one_first() {
        let health = Health::new("relay", 1);
        let (first, second) = (health.visit().expect("new"), health.visit().expect("new"));
        first.failed("refused", None);
        second.failed("refused", None);
        assert!(health.visit().is_none());
        tokio::time::advance(PAUSE_MIN).await;
        let probe = health.visit().expect("the pause is over");
        assert!(health.visit().is_none(), "one goes first");
        drop(probe);
        assert_eq!(health.told().problem, "no answer in time");
        tokio::time::advance(PAUSE_MIN).await;
        assert!(health.visit().is_none(), "twice as long");
        for _ in 0..10 {
            tokio::time::advance(PAUSE_MAX).await;
            health.visit().expect("never longer than this").failed("refused", None);
        }
        tokio::time::advance(PAUSE_MAX).await;
        health.visit().expect("the pause is over").answered();
        assert!(health.told().problem.is_empty());
        assert_eq!((health.told().answers, health.told().failures), (1, 13));
        assert!(health.visit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn single_failures_among_many_answers_are_borne() {
        let health = Health::new("dht", 3);
        for _ in 0..10 {
            health.visit().expect("borne").failed("refused", None);
            health.visit().expect("borne").failed("refused", None);
            health.visit().expect("borne").answered();
        }
        for _ in 0..3 {
            health.visit().expect("borne").failed("refused", None);
        }
        assert!(health.visit().is_none(), "three in a row");
        tokio::time::advance(PAUSE_MIN).await;
        assert!(health.visit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_asks_for_an_hour_gets_ten_minutes() {
        let health = Health::new("relay", 1);
        health.visit().expect("new").failed("429", Some(Duration::from_secs(3600)));
        assert_eq!(health.told().paused_s, ASKED_PAUSE_MAX.as_secs());
        tokio::time::advance(ASKED_PAUSE_MAX).await;
        assert!(health.visit().is_some());
    }
}
