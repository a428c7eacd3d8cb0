//! A consistent copy of the database, made while it is written.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, absolute},
};

use rusqlite::Connection;

use crate::store::{Reader, StoreError, sql::reads::Rows, sqlite::open};

impl Reader for Rows<Connection> {
    fn another(&self) -> Result<Box<dyn Reader>, StoreError> {
        let path = self.by().path().map(Path::new);
        let path = path.ok_or_else(|| StoreError::new("read", "the name must be UTF-8"))?;
        let connection = open::to_read(path).map_err(|error| StoreError::new("read", error))?;
        Ok(Box::new(Self::new(connection)))
    }

    fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let failed = |error: io::Error| {
            let reason = match error.kind() {
                io::ErrorKind::AlreadyExists => "the file is there already; name another".into(),
                _ => error.to_string(),
            };
            StoreError::new("copy", format!("{}: {reason}", to.display()))
        };
        let to = absolute(to).map_err(failed)?;
        let name = to.to_str().ok_or_else(|| {
            StoreError::new("copy", format!("{}: the name must be UTF-8", to.display()))
        })?;
        // Made here, because SQLite would take an empty file for its own, and nobody else may read
        // it: it has what events are signed with.
        let file = File::options().write(true).create_new(true).mode(0o600).open(&to);
        let file = file.map_err(failed)?;
        let copied = self.by().execute("VACUUM INTO ?1", [name]);
        // SQLite does not sync the copy.
        let synced = copied.map_err(|error| StoreError::new("copy", error)).and_then(|_| {
            file.sync_all().map_err(failed)?;
            let directory = to.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all());
            directory.map_err(failed)
        });
        if synced.is_err() {
            // A part of a copy is worse than none. That it cannot be removed does not matter more
            // than why it was not made.
            let _ = fs::remove_file(&to);
        }
        synced
    }
}
