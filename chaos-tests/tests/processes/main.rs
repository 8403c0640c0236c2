//! Clusters of real processes in bad luck that a table of requests does not show, and the binary that ships.
//! Survival has a program of its own: beside its load nothing else should run.

mod dashboards;
mod discarded;
mod doctor;
mod full_disk;
mod hung_disk;
mod incidents;
mod large_bodies;
mod metrics;
mod otel_variables;
mod otlp;
mod otlp_tls;
mod papers;
mod secrets;
mod shipped_binary;
mod smoke;
mod traces;
