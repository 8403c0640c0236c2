//! Three replicas of one group over any wire.
#![allow(dead_code)] // each test program uses a part of it

mod member;

pub use member::*;
