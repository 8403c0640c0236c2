//! Certificates for a test, in files that last as long as it.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rowhouse_peer::{Authority, CertificateFiles, Certificates, Role};
use rowhouse_raft::runtime::{Production, Runtime};

const HOUR: Duration = Duration::from_secs(3600);

fn valid() -> Range<SystemTime> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_micros(Production::wall_us());
    now - HOUR..now + HOUR
}

pub fn authority() -> Authority {
    Authority::create("main", valid()).expect("a CA")
}

pub fn certificates(authority: &Authority, role: Role, name: &str) -> Arc<Certificates> {
    let folder = tempfile::tempdir().expect("a folder");
    let files = CertificateFiles::in_folder(folder.path(), name);
    let issued = authority.issue(role, name, valid()).expect("issued");
    std::fs::write(&files.cert, issued.certificate_pem).expect("written");
    std::fs::write(&files.key, issued.key_pem).expect("written");
    std::fs::set_permissions(&files.key, PermissionsExt::from_mode(0o600)).expect("private");
    std::fs::write(&files.ca, authority.certificate_pem()).expect("written");
    Arc::new(Certificates::open(files).expect("good certificates"))
}
