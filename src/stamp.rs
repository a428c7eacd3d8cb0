//! Whether a file is still the one that was read: what the system tells without reading it.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// What tells one state of a file from another. A file that was replaced, as editors and mounted
/// configuration do, differs by its inode.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Looks at a file; `None` when it is not there.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}
