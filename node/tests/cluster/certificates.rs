//! Certificates of a test's processes, in one folder, to be replaced while they run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rowhouse_peer::{Authority, CertificateFiles, Certificates, Role};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

fn valid() -> Range<SystemTime> {
    SystemTime::now() - HOUR..SystemTime::now() + HOUR
}

pub fn authority() -> Authority {
    Authority::create("main", valid()).expect("a CA")
}

pub struct Issuer {
    folder: TempDir,
    authority: Authority,
    /// What was issued, by role and name.
    issued: RefCell<BTreeMap<(Role, String), Arc<Certificates>>>,
}

impl Issuer {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let issuer = Self { folder, authority: authority(), issued: RefCell::default() };
        issuer.trust(&[&issuer.authority]);
        issuer
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The same for the same name, as in one process.
    pub fn certificates(&self, role: Role, name: &str) -> Arc<Certificates> {
        let mut issued = self.issued.borrow_mut();
        let opened = issued.entry((role, name.to_owned())).or_insert_with(|| {
            self.reissue(role, name, &self.authority);
            Arc::new(Certificates::open(self.files(role, name)).expect("good certificates"))
        });
        Arc::clone(opened)
    }

    /// New files; whoever uses them has to look.
    pub fn reissue(&self, role: Role, name: &str, by: &Authority) {
        let files = self.files(role, name);
        let issued = by.issue(role, name, valid()).expect("issued");
        std::fs::write(&files.cert, issued.certificate_pem).expect("written");
        std::fs::write(&files.key, issued.key_pem).expect("written");
        std::fs::set_permissions(&files.key, PermissionsExt::from_mode(0o600)).expect("private");
    }

    pub fn reissue_all(&self, by: &Authority) {
        for (role, name) in self.issued.borrow().keys() {
            self.reissue(*role, name, by);
        }
    }

    pub fn trust(&self, authorities: &[&Authority]) {
        let pem: String = authorities.iter().map(|authority| authority.certificate_pem()).collect();
        std::fs::write(self.folder.path().join("ca.pem"), pem).expect("written");
    }

    /// Every process looks at its files.
    pub fn refresh(&self) {
        for certificates in self.issued.borrow().values() {
            assert!(certificates.refresh().expect("good files"), "they have changed");
        }
    }

    fn files(&self, role: Role, name: &str) -> CertificateFiles {
        CertificateFiles::in_folder(self.folder.path(), &format!("{role}-{name}"))
    }
}
