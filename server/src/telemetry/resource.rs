//! Who the exported spans and metrics are from.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// The resource of this process, `rowhouse-{service}` unless the environment names another.
pub fn of(service: &str) -> Resource {
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(format!("rowhouse-{service}"));
    }
    resource
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("process.pid", i64::from(std::process::id())))
        .build()
}
