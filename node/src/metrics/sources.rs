//! Where measurements are read, and the making of instruments that read there.

use std::sync::{Arc, Weak};

use opentelemetry::metrics::{AsyncInstrument, Meter};
use opentelemetry::{KeyValue, Value};

use super::groups::{Groups, Seen};
use crate::coordinator::Coordinator;
use crate::local::Local;
use crate::objects::Objects;
use crate::peers::Cluster;
use crate::republish::Republisher;

/// The parts of a node that are measured. The node holds them: instruments outlive it and read nothing then.
pub struct Sources {
    pub local: Arc<Local>,
    pub cluster: Arc<Cluster>,
    pub coordinator: Arc<Coordinator>,
    pub objects: Arc<Objects>,
    pub republisher: Arc<Republisher>,
    pub groups: Groups,
}

impl Sources {
    /// The replicas of this node.
    pub fn seen(&self) -> Arc<Seen> {
        self.groups.look(&self.local, &self.cluster)
    }
}

/// Makes instruments.
pub struct Watched {
    meter: Meter,
    sources: Weak<Sources>,
}

impl Watched {
    pub fn new(meter: Meter, sources: &Arc<Sources>) -> Self {
        Self { meter, sources: Arc::downgrade(sources) }
    }

    /// Something that rises and falls; `None` while it is not known here.
    pub fn gauge(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: fn(&Sources) -> Option<f64>,
    ) {
        let sources = self.sources.clone();
        self.meter
            .f64_observable_gauge(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                if let Some(value) = sources.upgrade().and_then(|sources| read(&sources)) {
                    observer.observe(value, &[]);
                }
            })
            .build();
    }

    /// Several things that rise and fall, one for each value of a label.
    pub fn gauge_by<L: Into<Value> + 'static>(
        &self,
        name: &'static str,
        description: &'static str,
        label: &'static str,
        read: fn(&Sources) -> Vec<(L, f64)>,
    ) {
        let building = self.meter.f64_observable_gauge(name).with_description(description);
        building.with_callback(self.each(label, read)).build();
    }

    /// Several things that only rise while the process lives, one for each value of a label.
    pub fn counter_by<L: Into<Value> + 'static>(
        &self,
        name: &'static str,
        description: &'static str,
        label: &'static str,
        read: fn(&Sources) -> Vec<(L, u64)>,
    ) {
        let building = self.meter.u64_observable_counter(name).with_description(description);
        building.with_callback(self.each(label, read)).build();
    }

    /// Tells each value under its value of the label, as long as there are sources.
    fn each<L: Into<Value> + 'static, M: 'static>(
        &self,
        label: &'static str,
        read: fn(&Sources) -> Vec<(L, M)>,
    ) -> impl Fn(&dyn AsyncInstrument<M>) + Send + Sync + 'static {
        let sources = self.sources.clone();
        move |observer| {
            let Some(sources) = sources.upgrade() else { return };
            for (value_of_label, value) in read(&sources) {
                observer.observe(value, &[KeyValue::new(label, value_of_label)]);
            }
        }
    }

    /// Something that only rises while the process lives.
    pub fn counter(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: fn(&Sources) -> u64,
    ) {
        let sources = self.sources.clone();
        self.meter
            .u64_observable_counter(name)
            .with_unit(unit)
            .with_description(description)
            .with_callback(move |observer| {
                if let Some(sources) = sources.upgrade() {
                    observer.observe(read(&sources), &[]);
                }
            })
            .build();
    }
}
