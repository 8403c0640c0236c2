//! The homeserver's secret key file: 64 hexadecimal digits, readable by its owner alone.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::Error;
use crate::files;

/// Permission bits of group and others.
const FOREIGN_ACCESS: u32 = 0o077;

pub fn read(path: &Path) -> Result<[u8; 32], Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let mode = std::fs::metadata(path).map_err(Error::io(path))?.permissions().mode();
    if mode & FOREIGN_ACCESS != 0 {
        let text = format!("{} is open to other users: chmod 600 it", path.display());
        return Err(Error::Usage(text));
    }
    let mut secret = [0; 32];
    hex::decode_to_slice(text.trim(), &mut secret)
        .map_err(|_| Error::Usage(format!("{} must hold 64 hexadecimal digits", path.display())))?;
    Ok(secret)
}

pub fn create(path: &Path, secret: &[u8; 32]) -> Result<(), Error> {
    files::write(path, format!("{}\n", hex::encode(secret)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::EXIT_USAGE;

    #[test]
    fn a_created_secret_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create(&path, &[7; 32]).unwrap();
        assert_eq!(read(&path).unwrap(), [7; 32]);
    }

    #[test]
    fn a_secret_others_may_read_or_of_wrong_form_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        create(&path, &[7; 32]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&path).unwrap_err().exit_code(), EXIT_USAGE);
        for wrong in ["", "00", &"g".repeat(64), &"00".repeat(33)] {
            files::write(&path, wrong.as_bytes()).unwrap();
            assert_eq!(read(&path).unwrap_err().exit_code(), EXIT_USAGE, "{wrong}");
        }
    }
}
