//! Permits by count and bytes: what a group may hold in flight before it answers Busy.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Deep enough for a full append batch, shallow enough that its wait stays below a second.
const PROPOSALS_MAX: usize = 1024;
/// Bodies in the log are at most 64 KiB: 256 of the largest.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Counts what is proposed and not yet applied.
#[derive(Debug, Default)]
pub struct Admission {
    proposals: AtomicUsize,
    bytes: AtomicUsize,
}

/// Held until the proposal is applied or given up.
#[derive(Debug)]
pub struct Permit<'a> {
    admission: &'a Admission,
    bytes: usize,
}

impl Admission {
    /// `None` when the group is full.
    pub fn try_claim(&self, bytes: usize) -> Option<Permit<'_>> {
        let proposals = self.proposals.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let permit = Permit { admission: self, bytes };
        (proposals < PROPOSALS_MAX && held + bytes <= BYTES_MAX).then_some(permit)
    }

    /// Proposals that are held.
    pub fn held(&self) -> usize {
        self.proposals.load(Ordering::Relaxed)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.admission.proposals.fetch_sub(1, Ordering::Relaxed);
        self.admission.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_beyond_either_bound_and_recovers() {
        let admission = Admission::default();
        let permits: Vec<_> = (0..PROPOSALS_MAX).map(|_| admission.try_claim(1)).collect();
        assert!(permits.iter().all(Option::is_some));
        assert_eq!(admission.held(), PROPOSALS_MAX);
        assert!(admission.try_claim(1).is_none());
        drop(permits);
        let whole = admission.try_claim(BYTES_MAX);
        assert!(whole.is_some());
        assert!(admission.try_claim(1).is_none());
        drop(whole);
        assert!(admission.try_claim(1).is_some());
    }
}
