//! Where a demo keeps its keys, its configuration and its usage.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::{
    cli::demo::config,
    model::{Environment, new_secret},
};

/// The file of the keys, in clear: they open nothing but the demo.
const KEYS: &str = "demo-keys.json";

/// The file of the configuration. Not `faregate.toml`, which may be the user's own.
const CONFIG: &str = "demo.toml";

/// The keys by customer.
pub(super) type Keys = BTreeMap<String, String>;

/// A directory, which is removed with this value if it is temporary.
#[derive(Debug)]
pub(super) struct State {
    directory: PathBuf,
    is_temporary: bool,
}

impl State {
    /// Opens the named directory, or makes a temporary one.
    pub(super) fn open(named: Option<PathBuf>) -> anyhow::Result<Self> {
        let is_temporary = named.is_none();
        let directory = match named {
            Some(directory) => directory,
            None => std::env::temp_dir().join(temporary_name()?),
        };
        // A temporary directory that is there already is somebody else's.
        DirBuilder::new()
            .recursive(!is_temporary)
            .mode(0o700)
            .create(&directory)
            .and_then(|()| directory.canonicalize())
            .map(|directory| Self { directory, is_temporary })
            .with_context(|| format!("cannot make the directory {}", directory.display()))
    }

    /// Reads the keys of the run before, and makes those that are missing.
    pub(super) fn keys(&self) -> anyhow::Result<Keys> {
        let path = self.directory.join(KEYS);
        let mut keys = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("{} does not hold the demo's keys; remove it", path.display())
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Keys::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let before = keys.len();
        for customer in config::CUSTOMERS {
            if !keys.contains_key(customer) {
                keys.insert(customer.to_owned(), new_secret(Environment::Test)?.to_string());
            }
        }
        if keys.len() != before {
            write(&path, &serde_json::to_vec_pretty(&keys)?)?;
        }
        Ok(keys)
    }

    /// Writes the configuration, unless another program's file has its name.
    pub(super) fn write_config(&self, text: &str) -> anyhow::Result<()> {
        let path = self.config_file();
        match fs::read_to_string(&path) {
            Ok(other) if !other.starts_with(config::MARK) => {
                bail!("{} was not written by `faregate demo`; move it away", path.display())
            }
            _ => write(&path, text.as_bytes()),
        }
    }

    /// Gives the file of the configuration.
    pub(super) fn config_file(&self) -> PathBuf {
        self.directory.join(CONFIG)
    }

    /// Gives the directory of the journal, as the configuration says it.
    pub(super) fn journal(&self) -> PathBuf {
        self.directory.join(config::JOURNAL)
    }

    /// Tells whether the directory goes away at the end.
    pub(super) fn is_temporary(&self) -> bool {
        self.is_temporary
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.is_temporary {
            // What cannot be removed is left to whoever clears the system's temporary files.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn temporary_name() -> anyhow::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!("faregate-demo-{:016x}", u64::from_ne_bytes(random)))
}

/// Writes a file whole, for this user alone: a reader sees the one before or this one.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let written = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        fs::rename(&new, path)
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn temporary_directory_is_private_and_goes_away() {
        let state = State::open(None).unwrap();
        let directory = state.directory.clone();
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(state.keys().unwrap().len(), config::CUSTOMERS.len());
        drop(state);
        assert!(!directory.exists());
    }

    #[test]
    fn named_directory_keeps_its_keys() {
        let parent = tempfile::tempdir().unwrap();
        let open = || State::open(Some(parent.path().join("a/b"))).unwrap();
        let keys = open().keys().unwrap();
        assert_eq!(open().keys().unwrap(), keys);
        let file = open().directory.join(KEYS);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "[]").unwrap();
        let error = open().keys().unwrap_err().to_string();
        assert!(error.ends_with("does not hold the demo's keys; remove it"), "{error}");
    }

    #[test]
    fn configuration_replaces_only_its_own() {
        let parent = tempfile::tempdir().unwrap();
        let state = State::open(Some(parent.path().to_owned())).unwrap();
        let text = format!("{}\n", config::MARK);
        state.write_config(&text).unwrap();
        state.write_config(&text).unwrap();
        fs::write(state.config_file(), "[server]").unwrap();
        assert!(state.write_config(&text).is_err());
        assert_eq!(fs::read_to_string(state.config_file()).unwrap(), "[server]");
    }
}
