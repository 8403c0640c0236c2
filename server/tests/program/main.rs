//! The program `rowhouse` as its users start it: arguments, configuration, and whole clusters on this machine.

mod cli;
mod config;
mod config_import;
mod dev;
mod mtls;
mod placement;
mod relay;
mod telemetry;
mod testnet;
