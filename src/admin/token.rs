//! The admin token that nobody configured: made at first start, kept beside the journal.

use std::{
    fs::{self, OpenOptions},
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

/// Reads it, or makes one where there is none.
pub(crate) fn read_or_make(path: &Path) -> io::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(token) if !token.trim().is_empty() => return Ok(Secret::new(token.trim().to_owned())),
        Ok(_) => {
            return Err(io::Error::other("the file is empty; delete it and a new one is made"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{token}")?;
    Ok(Secret::new(token))
}
