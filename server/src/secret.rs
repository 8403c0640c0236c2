//! Secrets: the homeserver's key, as 64 hexadecimal digits, and passwords. Files hold them.

use std::path::Path;

use rowhouse_peer::is_exposed;

use crate::error::Error;
use crate::files;

/// Stands for the homeserver's key when the configuration is only looked at.
pub const WITHHELD: [u8; 32] = [0; 32];
/// Stands for a password in a file when the configuration is only looked at.
pub const PASSWORD_WITHHELD: &str = "withheld";

/// A new key, or a new password's bytes.
pub fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Failed(format!("this machine gives no random numbers: {error}")))?;
    Ok(bytes)
}

/// The homeserver's secret key. Fails with exit code 75 while the file cannot be read, with 64 if other users can
/// read it or it does not hold a key.
pub fn read(path: &Path) -> Result<[u8; 32], Error> {
    let text = read_text(path)?;
    let mut secret = [0; 32];
    hex::decode_to_slice(text.trim(), &mut secret)
        .map_err(|_| Error::Usage(format!("{} must hold 64 hexadecimal digits", path.display())))?;
    Ok(secret)
}

/// The file's one line, without its end. Fails like [`read`].
pub fn read_password(path: &Path) -> Result<String, Error> {
    let text = read_text(path)?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Error::Usage(format!("{} is empty: write the password into it", path.display()))),
        line if line.contains('\n') => {
            Err(Error::Usage(format!("{} must hold one line, the password", path.display())))
        }
        line => Ok(line.to_owned()),
    }
}

fn read_text(path: &Path) -> Result<String, Error> {
    let unreadable = |error| {
        let path = path.display();
        Error::NotYet(format!("cannot read the secret file {path} ({error}): create it or name another"))
    };
    if is_exposed(&std::fs::metadata(path).map_err(unreadable)?) {
        let path = path.display();
        let text = format!("{path} is open to other users: chmod 600 it, or 640 for its group");
        return Err(Error::Usage(text));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Writes the file, readable by its owner alone, that [`read`] reads. Replaces a file that is there.
pub fn create(path: &Path, secret: &[u8; 32]) -> Result<(), Error> {
    files::write(path, format!("{}\n", hex::encode(secret)).as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::error::{EXIT_NOT_YET, EXIT_USAGE};

    #[test]
    fn a_created_secret_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create(&path, &[7; 32]).unwrap();
        assert_eq!(read(&path).unwrap(), [7; 32]);
    }

    #[test]
    fn a_password_is_the_one_line_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        for (text, password) in [("correct horse\n", Some("correct horse")), ("a\nb", None), ("\n", None)] {
            files::write(&path, text.as_bytes()).unwrap();
            assert_eq!(read_password(&path).ok().as_deref(), password, "{text:?}");
        }
        let absent = read_password(&dir.path().join("absent")).unwrap_err();
        assert_eq!(absent.exit_code(), EXIT_NOT_YET);
        assert!(absent.to_string().contains("absent"), "{absent}");
    }

    #[test]
    fn a_secret_others_may_read_or_of_wrong_form_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create(&path, &[7; 32]).unwrap();
        let readable_by = |mode| {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            read(&path)
        };
        // As Kubernetes mounts secrets for a group.
        assert_eq!(readable_by(0o440).unwrap(), [7; 32]);
        for mode in [0o444, 0o644, 0o660] {
            assert_eq!(readable_by(mode).unwrap_err().exit_code(), EXIT_USAGE, "{mode:o}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        for wrong in ["", "00", &"g".repeat(64), &"00".repeat(33)] {
            files::write(&path, wrong.as_bytes()).unwrap();
            assert_eq!(read(&path).unwrap_err().exit_code(), EXIT_USAGE, "{wrong}");
        }
    }
}
