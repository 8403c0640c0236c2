//! Children of `rowhouse dev` die with it, however it dies.
//!
//! The child asks the kernel itself, right at its start, so that nothing has to run between fork and exec.

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use crate::error::Error;

/// Has the kernel end this process by SIGKILL when `parent`, a process id, ends. Survivors of a killed parent must not
/// linger while they try to stop in order. Fails if the kernel refuses, or the parent has ended already.
pub fn die_with(parent: u32) -> Result<(), Error> {
    set_pdeathsig(Signal::SIGKILL)
        .map_err(|error| Error::Failed(format!("cannot follow the parent: {error}")))?;
    // It may have died before the request.
    if getppid() != Pid::from_raw(parent.cast_signed()) {
        return Err(Error::Failed("the parent is gone".into()));
    }
    Ok(())
}
