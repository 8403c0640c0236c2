//! What carries frames between two nodes: tonic streams in production, a simulated wire in tests.
//! It may lose, delay or duplicate nothing silently: a broken link is reported, frames on it are gone.

