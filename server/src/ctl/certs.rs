//! `rowhouse ctl certs create`: a small private CA in a folder, for trying out.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Subcommand;
use rowhouse_peer::{Authority, Role, TlsError};

use crate::error::Error;
use crate::files;

const DAY: Duration = Duration::from_secs(24 * 3600);
const AUTHORITY_DAYS: u32 = 3_650;
/// Clocks of other machines may be behind this one's.
const BACKDATED: Duration = Duration::from_secs(3600);
const AUTHORITY: &str = "ca";

/// The commands below `rowhouse ctl certs`.
#[derive(Subcommand, Debug)]
pub enum CertsCommand {
    /// Make a CA and certificates for nodes, gateways and operators; run again, it adds some to the same CA.
    Create(CreateArgs),
}

/// Flags of `rowhouse ctl certs create`.
#[derive(clap::Args, Clone, Debug)]
pub struct CreateArgs {
    /// Folder for ca.pem, ca.key, and NAME.pem and NAME.key of each.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Name of the cluster: certificates of another one are refused.
    #[arg(long, value_name = "NAME")]
    pub cluster: String,
    /// Names of nodes (their --name), separated by commas.
    #[arg(long = "node", value_name = "NAME", value_delimiter = ',')]
    pub nodes: Vec<String>,
    /// Names of gateways, separated by commas.
    #[arg(long = "gateway", value_name = "NAME", value_delimiter = ',')]
    pub gateways: Vec<String>,
    /// Names of operators, for `ctl` and `cluster init`, separated by commas.
    #[arg(long = "ctl", value_name = "NAME", value_delimiter = ',')]
    pub ctls: Vec<String>,
    /// How long the certificates are valid; the CA is for ten years.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=i64::from(AUTHORITY_DAYS)))]
    pub days: u32,
    /// Leave out names whose files are there, so that doing it again is harmless. It renews nothing.
    #[arg(long)]
    pub missing: bool,
}

impl CreateArgs {
    fn named(&self) -> Vec<(Role, &str)> {
        let nodes = self.nodes.iter().map(|name| (Role::Node, name.as_str()));
        let gateways = self.gateways.iter().map(|name| (Role::Gateway, name.as_str()));
        let ctls = self.ctls.iter().map(|name| (Role::Ctl, name.as_str()));
        nodes.chain(gateways).chain(ctls).collect()
    }

    /// Who shall get a certificate now: with `--missing` nobody who has one.
    fn wanted(&self) -> Vec<(Role, &str)> {
        let has = |name| certificate(self, name).exists() && key(self, name).exists();
        self.named()
            .into_iter()
            .filter(|(_, name)| !self.missing || *name == AUTHORITY || !has(name))
            .collect()
    }
}

/// Writes the certificates, and returns a text that says what was made and what to do next.
///
/// Fails without writing anything if a name cannot be used, is given twice, or has a file already.
pub fn create(args: &CreateArgs) -> Result<String, Error> {
    let wanted = args.wanted();
    if wanted.is_empty() && !args.named().is_empty() {
        return Ok(format!("in {}: all of them are there already", args.out.display()));
    }
    check(args, &wanted)?;
    let authority = authority(args)?;
    let valid = valid_for(args.days);
    // All of them before the first file: a name that cannot be used leaves nothing half done.
    let mut issued = Vec::with_capacity(wanted.len());
    for (role, name) in &wanted {
        issued.push((*name, authority.issue(*role, name, valid.clone()).map_err(unusable)?));
    }
    std::fs::create_dir_all(&args.out).map_err(Error::io(&args.out))?;
    if !certificate(args, AUTHORITY).exists() {
        files::write(&key(args, AUTHORITY), authority.key_pem().as_bytes())?;
        files::write(&certificate(args, AUTHORITY), authority.certificate_pem().as_bytes())?;
    }
    for (name, issued) in issued {
        files::write(&key(args, name), issued.key_pem.as_bytes())?;
        files::write(&certificate(args, name), issued.certificate_pem.as_bytes())?;
    }
    Ok(summary(args, &wanted))
}

fn check(args: &CreateArgs, wanted: &[(Role, &str)]) -> Result<(), Error> {
    if wanted.is_empty() {
        return Err(Error::Usage("name at least one --node, --gateway or --ctl".into()));
    }
    let mut names = BTreeSet::from([AUTHORITY]);
    for (_, name) in wanted {
        if !names.insert(name) {
            return Err(Error::Usage(format!("two certificates would be called {name}")));
        }
        for path in [certificate(args, name), key(args, name)] {
            if path.exists() {
                let path = path.display();
                return Err(Error::Usage(format!("{path} is there already, and nothing is overwritten")));
            }
        }
    }
    Ok(())
}

/// The CA in the folder, or a new one.
fn authority(args: &CreateArgs) -> Result<Authority, Error> {
    let (certificate, key) = (certificate(args, AUTHORITY), key(args, AUTHORITY));
    match (certificate.exists(), key.exists()) {
        (false, false) => Authority::create(&args.cluster, valid_for(AUTHORITY_DAYS)).map_err(unusable),
        (true, true) => {
            let read = |path: &Path| std::fs::read_to_string(path).map_err(Error::io(path));
            Authority::open(&args.cluster, &read(&certificate)?, &read(&key)?).map_err(unusable)
        }
        _ => Err(Error::Usage(format!("{} must hold both ca.pem and ca.key, or none", args.out.display()))),
    }
}

fn unusable(error: TlsError) -> Error {
    Error::Usage(error.to_string())
}

fn valid_for(days: u32) -> Range<SystemTime> {
    let now = SystemTime::now();
    now - BACKDATED..now + DAY * days
}

fn certificate(args: &CreateArgs, name: &str) -> PathBuf {
    args.out.join(format!("{name}.pem"))
}

fn key(args: &CreateArgs, name: &str) -> PathBuf {
    args.out.join(format!("{name}.key"))
}

fn summary(args: &CreateArgs, wanted: &[(Role, &str)]) -> String {
    let folder = args.out.display();
    let made: String = wanted
        .iter()
        .map(|(role, name)| format!("  {name}.pem, {name}.key   {role} {name}, {} days\n", args.days))
        .collect();
    let next = match wanted.iter().find(|(role, _)| *role == Role::Node) {
        Some((_, name)) => format!("rowhouse node --name {name} {}", flags(args, name)),
        None => match wanted.first() {
            Some((Role::Gateway, name)) => format!("rowhouse gateway {}", flags(args, name)),
            Some((_, name)) => format!("rowhouse ctl status {} --node HOST:PORT", flags(args, name)),
            None => String::new(),
        },
    };
    format!(
        "in {folder}, for cluster {}:\n{made}\
         \nThis CA is for trying out: who has ca.key can make certificates for the whole cluster, and it lies\
         \nin a file. Keep it off the machines; each of them needs ca.pem and its own two files only.\
         \n\nNext:\n  {next} ...",
        args.cluster
    )
}

fn flags(args: &CreateArgs, name: &str) -> String {
    format!(
        "--tls-cert {} --tls-key {} --tls-ca {}",
        certificate(args, name).display(),
        key(args, name).display(),
        certificate(args, AUTHORITY).display()
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rowhouse_peer::{CertificateFiles, Certificates};

    use super::*;

    fn args(out: &Path, nodes: &[&str], gateways: &[&str]) -> CreateArgs {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        CreateArgs {
            out: out.join("certs"),
            cluster: "main".into(),
            nodes: owned(nodes),
            gateways: owned(gateways),
            ctls: Vec::new(),
            days: 30,
            missing: false,
        }
    }

    fn open(args: &CreateArgs, name: &str) -> Certificates {
        Certificates::open(CertificateFiles::in_folder(&args.out, name)).unwrap()
    }

    #[test]
    fn certificates_fit_their_ca_and_more_are_added_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = args(dir.path(), &["node-1", "node-2"], &["gateway-1"]);
        let said = create(&first).unwrap();
        assert!(said.contains("trying out") && said.contains("rowhouse node --name node-1"), "{said}");
        let ca = std::fs::read(first.out.join("ca.pem")).unwrap();
        create(&args(dir.path(), &["node-3"], &[])).unwrap();
        assert_eq!(std::fs::read(first.out.join("ca.pem")).unwrap(), ca);
        for (name, role) in [("node-1", Role::Node), ("node-3", Role::Node), ("gateway-1", Role::Gateway)] {
            let subject = open(&first, name).subject();
            assert_eq!((subject.role(), subject.name(), subject.cluster()), (role, name, "main"));
        }
        let left = open(&first, "node-1").expires_at().duration_since(SystemTime::now()).unwrap();
        assert!(left > DAY * 29 && left <= DAY * 30, "{left:?}");
        for key in ["ca.key", "node-1.key", "gateway-1.key"] {
            let mode = std::fs::metadata(first.out.join(key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }

    #[test]
    fn missing_ones_are_added_to_those_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        create(&args(dir.path(), &["node-1"], &[])).unwrap();
        let more = CreateArgs { missing: true, ..args(dir.path(), &["node-1", "node-2"], &["gateway-1"]) };
        let kept = std::fs::read(more.out.join("node-1.pem")).unwrap();
        let said = create(&more).unwrap();
        assert!(said.contains("node-2.pem") && !said.contains("node-1.pem, "), "{said}");
        assert!(create(&more).unwrap().contains("there already"));
        assert_eq!(std::fs::read(more.out.join("node-1.pem")).unwrap(), kept);
        let reserved = CreateArgs { missing: true, ..args(dir.path(), &["ca"], &[]) };
        assert!(create(&reserved).is_err());
        std::fs::remove_file(more.out.join("node-2.key")).unwrap();
        assert!(create(&more).is_err(), "half of a pair is nothing to go on from");
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_left_half_done() {
        let dir = tempfile::tempdir().unwrap();
        create(&args(dir.path(), &["node-1"], &[])).unwrap();
        let folder = args(dir.path(), &[], &[]).out;
        let files = || std::fs::read_dir(&folder).unwrap().count();
        let before = files();
        let other = CreateArgs { cluster: "other".into(), ..args(dir.path(), &["node-2"], &[]) };
        for wrong in [
            args(dir.path(), &["node-2", "node-1"], &[]),
            args(dir.path(), &["node-2"], &["node-2"]),
            args(dir.path(), &["ca"], &[]),
            args(dir.path(), &["node-2", "../node-3"], &[]),
            args(dir.path(), &[], &[]),
            other,
        ] {
            let error = create(&wrong).unwrap_err();
            assert_eq!(error.exit_code(), crate::error::EXIT_USAGE, "{error}");
            assert_eq!(files(), before, "{error}");
        }
        std::fs::remove_file(folder.join("ca.key")).unwrap();
        assert!(create(&args(dir.path(), &["node-2"], &[])).is_err());
    }
}
