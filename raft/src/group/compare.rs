//! Has the replicas of a group compare their states (`state/check.rs`).

use super::check::CheckPace;
use super::handle::Group;
use crate::error::ProposeError;
use crate::runtime::Runtime;
use crate::{Envelope, StateCheck};

impl<R: Runtime> Group<R> {
    /// Takes the next step of a comparison, if one is due and this replica leads: the replicas note their
    /// hashes, then compare.
    pub(crate) async fn check_state(&self, pace: &CheckPace) -> Result<(), ProposeError> {
        let applied = self.applied();
        let check = match applied.noted {
            Some(hash) => StateCheck::Compare { index: applied.checked, hash },
            None if self.unchecked.is_due(&applied, pace) => StateCheck::Note,
            None => return Ok(()),
        };
        self.write(Envelope::of_check(check)).await.map(drop)
    }
}
