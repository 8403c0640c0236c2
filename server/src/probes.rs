//! Startup, liveness and readiness of a process over plain HTTP, as Kubernetes asks for them. They have a listener of
//! their own, so that load on other listeners does not matter.
//!
//! - `/livez`: the process runs. Restart it if this does not answer.
//! - `/startupz`: it has opened its stores and listens; 503 before.
//! - `/readyz`: it should be sent work; 503 with a reason a line if not.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::error::Error;

/// Reasons named in one answer; a node has many groups.
const REASONS_MAX: usize = 8;

type Readiness = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// The listener; ends when it is dropped.
pub struct Probes {
    readiness: Arc<OnceLock<Readiness>>,
    _serving: JoinSet<()>,
}

impl Probes {
    /// Answers probes from now on, with 503 where that is the answer before the start. Without an address it listens
    /// nowhere. Fails if the address is taken.
    pub async fn listen(address: Option<SocketAddr>) -> Result<Self, Error> {
        let readiness = Arc::<OnceLock<Readiness>>::default();
        let mut serving = JoinSet::new();
        if let Some(address) = address {
            let socket = TcpListener::bind(address)
                .await
                .map_err(|error| Error::Failed(format!("cannot listen for probes on {address}: {error}")))?;
            let router = router(Arc::clone(&readiness));
            serving.spawn(async move {
                if let Err(error) = axum::serve(socket, router).await {
                    tracing::error!(%error, "probes are no longer answered");
                }
            });
        }
        Ok(Self { readiness, _serving: serving })
    }

    /// The process has started. `readiness` returns the reasons against sending it work; none means ready.
    pub fn started(&self, readiness: impl Fn() -> Vec<String> + Send + Sync + 'static) {
        // A second start would be a mistake of the caller; the first goes on answering.
        drop(self.readiness.set(Box::new(readiness)));
    }
}

fn router(readiness: Arc<OnceLock<Readiness>>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/startupz", get(startup))
        .route("/readyz", get(ready))
        .with_state(readiness)
}

async fn startup(State(readiness): State<Arc<OnceLock<Readiness>>>) -> (StatusCode, &'static str) {
    match readiness.get() {
        Some(_) => (StatusCode::OK, "ok"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
    }
}

async fn ready(State(readiness): State<Arc<OnceLock<Readiness>>>) -> (StatusCode, String) {
    let Some(readiness) = readiness.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting".to_owned());
    };
    let mut reasons = readiness();
    if reasons.is_empty() {
        return (StatusCode::OK, "ok".to_owned());
    }
    let more = reasons.len().saturating_sub(REASONS_MAX);
    reasons.truncate(REASONS_MAX);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_follows_the_process_and_names_its_reasons() {
        let readiness = Arc::<OnceLock<Readiness>>::default();
        let asked = |lock: &Arc<OnceLock<Readiness>>| State(Arc::clone(lock));
        assert_eq!(startup(asked(&readiness)).await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ready(asked(&readiness)).await.1, "starting");

        let reasons = Arc::new(std::sync::Mutex::new(vec!["draining".to_owned()]));
        let shared = Arc::clone(&reasons);
        assert!(readiness.set(Box::new(move || shared.lock().unwrap().clone())).is_ok());
        assert_eq!(startup(asked(&readiness)).await.0, StatusCode::OK);
        assert_eq!(ready(asked(&readiness)).await, (StatusCode::SERVICE_UNAVAILABLE, "draining".to_owned()));

        *reasons.lock().unwrap() = (0..10).map(|group| format!("group {group}")).collect();
        let (status, text) = ready(asked(&readiness)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.starts_with("group 0\n") && text.ends_with("and 2 more"), "{text}");

        reasons.lock().unwrap().clear();
        assert_eq!(ready(asked(&readiness)).await, (StatusCode::OK, "ok".to_owned()));
    }
}
