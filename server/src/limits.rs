//! Raises the soft limit of open files to the hard one: storage nodes and gateways hold many.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// More would only slow down programs that walk all possible descriptors.
const OPEN_FILES_ENOUGH: u64 = 1 << 20;

/// Raises the soft limit of this process. Changes nothing where the system forbids it.
pub fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = hard.min(OPEN_FILES_ENOUGH);
        if wanted <= soft {
            return Ok(());
        }
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
    });
    if let Err(error) = raised {
        eprintln!("rowhouse: cannot raise the limit of open files: {error}");
    }
}
