//! A mutex that a panic does not close.
//!
//! The standard library poisons a mutex whose holder panics. Here each lock guards a value that is valid between
//! any two statements, and a panic ends the task or the process that met it: the others go on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, whether a holder panicked or not.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `condition` is told of, as `Condvar::wait` does, and locks again as `lock` does.
pub fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard).unwrap_or_else(PoisonError::into_inner)
}
