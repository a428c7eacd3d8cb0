//! A file that is there whole or not at all: written beside its place, forced to the disk, renamed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// A file in the making. Dropping it removes what was written.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    /// Where it is written: the name with `.partial` behind it.
    partial: PathBuf,
    path: PathBuf,
    is_kept: bool,
    bytes: u64,
}

impl Partial {
    /// Begins a file that `mode` says who may read. One that is being written, or was left behind
    /// by a program that was killed, is not touched.
    pub(super) fn create(path: &Path, mode: u32) -> anyhow::Result<Self> {
        if path.file_name().is_none() || path.is_dir() {
            bail!("{} is not the name of a file", path.display());
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial);
        match opened {
            Ok(file) => Ok(Self { file, partial, path: path.to_owned(), is_kept: false, bytes: 0 }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
                "{} is there already: something writes it, or was killed while it did; remove it \
                 in the latter case",
                partial.display()
            ),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", partial.display())),
        }
    }

    /// Writes more.
    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(bytes);
        written.with_context(|| format!("cannot write {}", self.partial.display()))?;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Puts the file into its place and tells how many bytes it has.
    pub(super) fn finish(mut self) -> anyhow::Result<u64> {
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let placed = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.partial, &self.path))
            .and_then(|()| File::open(directory)?.sync_all());
        placed.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.is_kept = true;
        Ok(self.bytes)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed is named by the next attempt.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("copy.db");
        let mut file = Partial::create(&path, 0o600).unwrap();
        file.write(b"half").unwrap();
        let error = Partial::create(&path, 0o600).unwrap_err().to_string();
        assert!(error.contains("copy.db.partial is there already"), "{error}");
        drop(file);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);

        let mut file = Partial::create(&path, 0o600).unwrap();
        file.write(b"who").unwrap();
        file.write(b"le").unwrap();
        assert!(!path.exists());
        assert_eq!(file.finish().unwrap(), 5);
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn directories_are_no_files() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Partial::create(directory.path(), 0o600).is_err());
        assert!(Partial::create(&directory.path().join("no/such/file"), 0o600).is_err());
    }
}
