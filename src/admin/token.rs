//! The admin token that nobody configured: made at first start, kept beside the journal.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::config::Secret;

/// How much of a token made here is random, in bytes.
const TOKEN_BYTES: usize = 32;

/// Gives its file.
pub fn path(journal: &Path) -> PathBuf {
    journal.join("admin-token")
}

/// Reads it, or makes one where there is none. An empty file is none: a power cut may have left it so.
pub(crate) fn read_or_make(path: &Path) -> io::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(token) if !token.trim().is_empty() => return Ok(Secret::new(token.trim().to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    write_whole(path, &token)?;
    Ok(Secret::new(token))
}

/// Writes it so that it is there whole after a power cut, or not at all.
fn write_whole(path: &Path, token: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    // One that was left behind may be readable for others.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn token_is_made_once_and_where_the_file_is_empty() {
        let temp = tempfile::tempdir().unwrap();
        let path = path(temp.path());
        let made = |path: &Path| read_or_make(path).unwrap().expose().to_owned();
        fs::write(&path, " \n").unwrap();
        fs::write(path.with_extension("new"), "left behind").unwrap();
        let token = made(&path);
        assert_eq!(token.len(), 2 * TOKEN_BYTES);
        assert_eq!(made(&path), token);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let files = fs::read_dir(temp.path()).unwrap().count();
        assert_eq!(files, 1);
    }
}
