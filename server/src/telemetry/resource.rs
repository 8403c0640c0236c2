//! Who the exported spans and metrics are from.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

/// The resource of this process, `rowhouse-{service}` unless the environment names another. Its instance is a random
/// number, unless `OTEL_RESOURCE_ATTRIBUTES` has one.
pub fn of(service: &str) -> Resource {
    let mut resource = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        resource = resource.with_service_name(format!("rowhouse-{service}"));
    }
    let given = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    for (key, value) in [
        ("service.namespace", "rowhouse".to_owned()),
        ("service.instance.id", uuid::Uuid::new_v4().to_string()),
    ] {
        if !given.split(',').any(|pair| pair.split('=').next() == Some(key)) {
            resource = resource.with_attribute(KeyValue::new(key, value));
        }
    }
    resource
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("process.pid", i64::from(std::process::id())))
        .build()
}
