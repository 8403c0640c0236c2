//! A mutex that a panic does not close.
//!
//! The standard library poisons a mutex whose holder panics. Here each lock guards a value that is valid between
//! any two statements, and a panic ends the task or the process that met it: the others go on.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, whether a holder panicked or not.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
