//! A mutex that a panic does not close: the one place where poisoning is handled.
//!
//! The standard library poisons a mutex whose holder panics. Here each lock guards a value that is valid between
//! any two statements, and a panic ends the task or the process that met it: the others go on.
//! `rowhouse_peer` has one mutex and does not know this crate; it says the same beside it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, whether a holder panicked or not.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `condition` is told of, as `Condvar::wait` does, and locks again as `lock` does.
pub fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_holder_closes_nothing() {
        let mutex = Mutex::new(1);
        let panicked = std::thread::scope(|scope| {
            let holder = scope.spawn(|| {
                *lock(&mutex) = 2;
                let _held = lock(&mutex);
                panic!("while it is held");
            });
            holder.join().is_err()
        });
        assert!(panicked && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 2);
    }
}
