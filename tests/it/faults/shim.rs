//! Faults of the disk that a test switches on and off: a library that the program is started with
//! (`disk.c`), and the file by which it is told what to do.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::process::FAREGATE;

/// Files of the journal, and its directory.
pub(crate) const JOURNAL: &str = "/disk/journal";

/// The database and its write-ahead log.
pub(crate) const DATABASE: &str = "/disk/books.db";

/// Everything that the program keeps.
pub(crate) const DISK: &str = "/disk/";

/// The system's numbers of errors.
pub(crate) const EIO: i64 = 5;
pub(crate) const ENOSPC: i64 = 28;
pub(crate) const EROFS: i64 = 30;

/// Calls, as bits.
pub(crate) const WRITE: i64 = 1;
pub(crate) const SYNC: i64 = 2;
pub(crate) const CREATE: i64 = 4;
pub(crate) const CUT: i64 = 8;

/// The words of `struct fault` in `disk.c`, and the length of the path behind them.
const WORDS: u64 = 9;
const HITS: u64 = 8;
const PATH_BYTES: usize = 128;

/// What happens to some calls. Without an error they are late only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    /// What a file's path must contain.
    pub(crate) path: &'static str,
    /// Which calls.
    pub(crate) calls: i64,
    /// The first that is hit, from 1, counted since it was switched on.
    pub(crate) first: i64,
    /// How many are hit from there; 0 for all.
    pub(crate) count: i64,
    /// The error; 0 for none.
    pub(crate) error: i64,
    /// The time that a call takes longer.
    pub(crate) delay_ms: i64,
    /// The first write takes half, and only the next one fails.
    pub(crate) is_partial: bool,
}

impl Fault {
    /// Makes a fault of all such calls.
    pub(crate) fn lasting(path: &'static str, calls: i64, error: i64) -> Self {
        Self { path, calls, first: 1, error, ..Self::default() }
    }

    /// Makes a fault of one call.
    pub(crate) fn nth(path: &'static str, calls: i64, error: i64, nth: i64) -> Self {
        Self { first: nth, count: 1, ..Self::lasting(path, calls, error) }
    }

    /// Makes calls late.
    pub(crate) fn slow(path: &'static str, calls: i64, delay_ms: i64) -> Self {
        Self { delay_ms, ..Self::lasting(path, calls, 0) }
    }
}

/// The library and the file that it looks at.
pub(crate) struct Shim {
    library: PathBuf,
    path: PathBuf,
    file: File,
}

impl Shim {
    /// Compiles the library into a directory.
    pub(crate) fn build(directory: &Path) -> Self {
        let library = directory.join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/disk.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]);
        let compiled = compiler.arg(&library).arg(source).arg("-ldl").output().unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let path = directory.join("faults");
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path);
        let file = file.unwrap();
        file.set_len(WORDS * 8 + PATH_BYTES as u64).unwrap();
        Self { library, path, file }
    }

    /// Gives the program with the library before it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(FAREGATE);
        command.env("LD_PRELOAD", &self.library).env("FAREGATE_FAULTS", &self.path);
        command
    }

    /// Switches a fault on, and counts anew.
    pub(crate) fn arm(&self, fault: Fault) {
        let Fault { path, calls, first, count, error, delay_ms, is_partial } = fault;
        self.disarm();
        let words = [calls, first, count, error, delay_ms, is_partial.into(), 0, 0];
        for (word, place) in words.into_iter().zip(1..) {
            self.set(place, word);
        }
        let mut bytes = [0; PATH_BYTES];
        bytes[..path.len()].copy_from_slice(path.as_bytes());
        self.file.write_all_at(&bytes, WORDS * 8).unwrap();
        self.set(0, 1);
    }

    /// Switches it off.
    pub(crate) fn disarm(&self) {
        self.set(0, 0);
    }

    /// Gives how many calls it hit.
    pub(crate) fn hits(&self) -> i64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, HITS * 8).unwrap();
        i64::from_ne_bytes(bytes)
    }

    fn set(&self, place: u64, word: i64) {
        self.file.write_all_at(&word.to_ne_bytes(), place * 8).unwrap();
    }
}
