//! The consensus engine from outside: its log on disks that crash and fill, its transport, replicas that diverge.

mod bulk;
mod catch_up;
mod divergence;
mod log_crash;
mod log_disk;
mod log_kit;
mod log_store;
mod log_suite;
mod transport_cluster;
mod transport_sim;
mod transport_tonic;
