//! The journal directory: who owns it, and that only one process does.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::{
    journal::segment::{self, SegmentId},
    store::NodeId,
};

/// A journal directory that is locked. The lock ends with the value, or with the process.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    node: NodeId,
    _lock: File,
}

/// Why the journal directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The directory or a file in it cannot be made, read or written.
    #[error("cannot use the journal directory {path}; it must be writable for this user")]
    Io {
        /// What was tried.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A second process.
    #[error(
        "the journal directory {0} is in use by another faregate; stop that one, or give this one \
         a `journal` of its own in [store]"
    )]
    InUse(PathBuf),
    /// The file with the node's id is gone, but segments are there.
    #[error(
        "{0} is missing or is not a UUID, but the directory holds a journal; write the id that the \
         database has for this node into it"
    )]
    NodeIdLost(PathBuf),
}

impl Directory {
    /// Makes the directory where needed, locks it, and reads who owns it; a new one gets a new
    /// owner.
    pub(super) fn open(path: &Path) -> Result<Self, DirectoryError> {
        fs::create_dir_all(path).map_err(|source| failed(path, source))?;
        let lock_path = path.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|source| failed(&lock_path, source))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => DirectoryError::InUse(path.into()),
            TryLockError::Error(source) => failed(&lock_path, source),
        })?;
        let node = node_id(path)?;
        Ok(Self { path: path.into(), node, _lock: lock })
    }

    /// Gives the path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the owner.
    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    /// Lists the segments, each worker's in order.
    pub(super) fn segments(&self) -> Result<Vec<SegmentId>, DirectoryError> {
        segment::list(&self.path).map_err(|source| failed(&self.path, source))
    }
}

/// Tells whether a directory was ever used.
pub(super) fn has_owner(directory: &Path) -> bool {
    directory.join("node-id").exists()
}

/// Gives the owner of a directory, and whether there are segments in it.
pub(super) fn look(directory: &Path) -> Result<(NodeId, bool), DirectoryError> {
    let path = directory.join("node-id");
    let text = fs::read_to_string(&path).map_err(|source| failed(&path, source))?;
    let node = text.trim().parse().map_err(|_| DirectoryError::NodeIdLost(path))?;
    let segments = segment::list(directory).map_err(|source| failed(directory, source))?;
    Ok((NodeId(node), !segments.is_empty()))
}

fn node_id(directory: &Path) -> Result<NodeId, DirectoryError> {
    let path = directory.join("node-id");
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => {
            let id = text.trim().parse().map_err(|_| DirectoryError::NodeIdLost(path))?;
            return Ok(NodeId(id));
        }
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&path, source));
        }
        // Also an empty file, which a first start that was killed or cut from power leaves behind.
        _ => {}
    }
    let segments = segment::list(directory).map_err(|source| failed(directory, source))?;
    if !segments.is_empty() {
        return Err(DirectoryError::NodeIdLost(path));
    }
    let node = new_node_id().map_err(|source| failed(&path, source))?;
    write_whole(&path, &format!("{node}\n")).map_err(|source| failed(&path, source))?;
    Ok(node)
}

fn new_node_id() -> io::Result<NodeId> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(NodeId(uuid::Builder::from_random_bytes(random).into_uuid()))
}

/// Writes the file so that it is whole after a crash, since every checksum in the journal needs it.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    fs::write(&draft, text)?;
    File::open(&draft)?.sync_all()?;
    fs::rename(&draft, path)
}

fn failed(path: &Path, source: io::Error) -> DirectoryError {
    DirectoryError::Io { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_stays() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("deep/journal");
        let first = Directory::open(&path).unwrap().node();
        assert_eq!(Directory::open(&path).unwrap().node(), first);
        assert_eq!(first.0.get_version_num(), 4);
    }

    #[test]
    fn a_second_owner_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let first = Directory::open(temp.path()).unwrap();
        let error = Directory::open(temp.path()).unwrap_err();
        assert!(matches!(&error, DirectoryError::InUse(path) if path == temp.path()));
        drop(first);
        Directory::open(temp.path()).unwrap();
    }

    #[test]
    fn a_lost_id_is_replaced_only_where_there_is_no_journal() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("node-id"), "").unwrap();
        Directory::open(temp.path()).unwrap();
        fs::write(temp.path().join("w001-0000000001.seg"), "").unwrap();
        fs::write(temp.path().join("node-id"), "").unwrap();
        assert!(matches!(Directory::open(temp.path()), Err(DirectoryError::NodeIdLost(_))));
        fs::write(temp.path().join("node-id"), "nonsense").unwrap();
        assert!(matches!(Directory::open(temp.path()), Err(DirectoryError::NodeIdLost(_))));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Directory::open(&file.join("journal")).unwrap_err();
        assert!(error.to_string().contains("file/journal"), "{error}");
    }
}
