//! `GET /metrics`: everything that is measured, at this moment, as the scraper understands it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};
use rowhouse_proto::durations::exemplar;
use tokio::sync::Semaphore;

use super::exposition::{Format, encode};

/// Answers under way at once. A scraper asks every few seconds, and there are one or two.
const SCRAPES_MAX: usize = 2;

/// The reader of the provider, and how many may read.
#[derive(Clone, Debug)]
pub struct Scrapes {
    reader: Arc<ManualReader>,
    room: Arc<Semaphore>,
}

impl Default for Scrapes {
    fn default() -> Self {
        Self { reader: Arc::default(), room: Arc::new(Semaphore::new(SCRAPES_MAX)) }
    }
}

impl MetricReader for Scrapes {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.reader.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.reader.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.reader.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.reader.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.reader.temporality(kind)
    }
}

/// The one route of the listener.
pub fn router(scrapes: Scrapes) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(scrapes)
}

async fn scrape(State(scrapes): State<Scrapes>, headers: HeaderMap) -> Response {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|header| header.to_str().ok());
    let format = Format::chosen(accepts);
    let Ok(permit) = scrapes.room.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    // Instruments that are read at this moment may ask the disk.
    let read = tokio::task::spawn_blocking(move || {
        let mut metrics = ResourceMetrics::default();
        let read = scrapes.reader.collect(&mut metrics);
        drop(permit);
        read.map(|()| encode(&metrics, format, exemplar))
    });
    match read.await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "metrics could not be read");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Err(_panicked) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
