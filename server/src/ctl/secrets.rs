//! `rowhouse ctl secrets create`: the homeserver's key and the admin password, made once, in a folder.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use pkarr::Keypair;

use crate::error::Error;
use crate::{files, secret};

const HOMESERVER_FILE: &str = "homeserver.secret";
const PASSWORD_FILE: &str = "admin.password";

/// The commands below `rowhouse ctl secrets`.
#[derive(Subcommand, Debug)]
pub enum SecretsCommand {
    /// Make those that are missing. Nothing is overwritten, and doing it again is harmless.
    Create(CreateArgs),
}

/// Flags of `rowhouse ctl secrets create`.
#[derive(clap::Args, Clone, Debug)]
pub struct CreateArgs {
    /// Folder for homeserver.secret and admin.password, readable by their owner alone.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Makes what is missing, and returns lines for people; the last one has the homeserver's public key. Fails if a file
/// is there that does not hold what it should.
pub fn create(args: &CreateArgs) -> Result<String, Error> {
    std::fs::create_dir_all(&args.out).map_err(Error::io(&args.out))?;
    let (key, password) = (args.out.join(HOMESERVER_FILE), args.out.join(PASSWORD_FILE));
    // Both are judged before the first is made.
    let known = key.exists().then(|| secret::read(&key)).transpose()?;
    let has_password = password.exists().then(|| secret::read_password(&password)).transpose()?.is_some();
    if !has_password {
        files::write(&password, format!("{}\n", hex::encode(secret::random()?)).as_bytes())?;
    }
    let homeserver = match known {
        Some(known) => known,
        None => {
            let new = secret::random()?;
            secret::create(&key, &new)?;
            new
        }
    };
    let z32 = Keypair::from_secret_key(&homeserver).public_key().to_z32();
    let said = [told(&password, has_password), told(&key, known.is_some()), format!("homeserver {z32}")];
    Ok(said.join("\n"))
}

fn told(path: &Path, was_there: bool) -> String {
    format!("{} {}", path.display(), if was_there { "is there already" } else { "made" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_what_is_malformed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let args = CreateArgs { out: dir.path().join("secrets") };
        let first = create(&args).unwrap();
        let (key, password) = (args.out.join(HOMESERVER_FILE), args.out.join(PASSWORD_FILE));
        let made = (secret::read(&key).unwrap(), secret::read_password(&password).unwrap());
        assert_ne!(hex::encode(made.0), made.1);
        let again = create(&args).unwrap();
        assert_eq!(first.lines().last(), again.lines().last());
        assert_eq!(again.matches("there already").count(), 2);
        assert_eq!((secret::read(&key).unwrap(), secret::read_password(&password).unwrap()), made);

        std::fs::remove_file(&password).unwrap();
        files::write(&key, b"07").unwrap();
        assert!(create(&args).is_err());
        assert!(!password.exists(), "nothing is left half done");
    }
}
