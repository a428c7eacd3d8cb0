//! The files of recent requests: `01763640000000000.requests` was begun at that microsecond.
//!
//! Invariant: their names are in the order in which they were begun.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

/// When a file was begun, in microseconds; its name, and unique within the directory.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Begun(i64);

/// What a file begins with: a name of the format, and its version.
pub(super) const MAGIC: [u8; 8] = *b"fgreq\0\0\x02";

impl Begun {
    /// Gives the file's path.
    pub(super) fn path(self, directory: &Path) -> PathBuf {
        directory.join(format!("{:017}.requests", self.0))
    }

    /// Gives the instant.
    pub(super) fn at(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::MAX)
    }

    fn parse(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".requests")?;
        let begun = Self(digits.parse().ok()?);
        // Only the one spelling, so that a copy is not taken for a second file.
        (begun.path(Path::new("")).as_os_str() == name).then_some(begun)
    }
}

/// Lists the files in the order in which they were begun. Where there is no directory there are none.
pub(super) fn list(directory: &Path) -> io::Result<Vec<Begun>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(entry?.file_name().to_str().and_then(Begun::parse));
    }
    found.sort_unstable();
    Ok(found)
}

/// Where new files come from: the disk, or in tests something that fails.
pub(super) type Create = fn(&Path) -> io::Result<File>;

/// Makes a file that must not be there yet. Appending, so that after a cut the next write goes where
/// it ends.
pub(super) fn on_disk(path: &Path) -> io::Result<File> {
    File::options().append(true).create_new(true).open(path)
}

/// A file that is written.
#[derive(Debug)]
pub(super) struct Open {
    file: File,
    pub(super) begun: Begun,
    /// Its length up to the last whole batch.
    pub(super) length: u64,
}

impl Open {
    /// Begins a file at an instant, or the next microsecond that none was begun at.
    pub(super) fn begin(directory: &Path, now: Timestamp, create: Create) -> io::Result<Self> {
        // Not what it is in: a journal's directory that was taken away is not to be made anew here.
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut begun = Begun(now.as_microsecond().max(0));
        let mut file = loop {
            match create(&begun.path(directory)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    begun.0 = begun.0.saturating_add(1);
                }
                created => break created?,
            }
        };
        file.write_all(&MAGIC)?;
        Ok(Self { file, begun, length: MAGIC.len() as u64 })
    }

    /// Appends a batch, or cuts away what was written of it.
    pub(super) fn append(&mut self, batch: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(batch) {
            // Where it cannot be cut, what is left does not pass for a record.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length = self.length.saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

/// The longest time for which one file is written. After it nothing more comes into a file, so that it
/// can be deleted by its age.
pub(super) const SPAN_MAX: Duration = Duration::from_secs(3600);

/// Deletes what is too old, and what is too much, the oldest first. What is written is left alone.
pub(super) fn delete_old(
    directory: &Path,
    written: &[Begun],
    keep_since: Timestamp,
    keep_bytes: u64,
) -> io::Result<()> {
    let files = list(directory)?;
    let mut sizes = Vec::with_capacity(files.len());
    for file in &files {
        sizes.push(fs::metadata(file.path(directory)).map_or(0, |metadata| metadata.len()));
    }
    let mut total = sizes.iter().fold(0_u64, |total, size| total.saturating_add(*size));
    for (place, (file, size)) in files.iter().zip(sizes).enumerate() {
        let next = files.get(place.saturating_add(1)).map(|next| next.at());
        let last = file.at().checked_add(SPAN_MAX).unwrap_or(Timestamp::MAX);
        let is_old = next.map_or(last, |next| next.min(last)) <= keep_since;
        if written.contains(file) || !(is_old || total > keep_bytes) {
            continue;
        }
        match fs::remove_file(file.path(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        total = total.saturating_sub(size);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_in_the_order_of_time() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("requests");
        assert_eq!(list(&directory).unwrap(), []);
        let now = at("2026-11-20T12:00:00Z");
        for now in [now, now, at("2026-11-20T11:00:00Z")] {
            Open::begin(&directory, now, on_disk).unwrap();
        }
        fs::write(directory.join("17636.requests"), "a copy").unwrap();
        fs::write(directory.join("x.requests"), "another file").unwrap();
        let begun: Vec<_> = list(&directory).unwrap().into_iter().map(Begun::at).collect();
        let next = now + Duration::from_micros(1);
        assert_eq!(begun, [at("2026-11-20T11:00:00Z"), now, next]);
    }

    /// Begins files of a thousand bytes at these hours and deletes old ones; gives the hours left.
    fn left(keep_since: &str, keep_bytes: u64, written: usize) -> Vec<i8> {
        let temp = tempfile::tempdir().unwrap();
        let begin = |hour: i32| {
            let now = at(&format!("2026-11-20T{hour:02}:00:00Z"));
            let mut open = Open::begin(temp.path(), now, on_disk).unwrap();
            open.append(&[1; 992]).unwrap();
            open.begun
        };
        let files: Vec<_> = [0, 1, 2, 8, 9].map(begin).into();
        delete_old(temp.path(), &files[written..], at(keep_since), keep_bytes).unwrap();
        let hour = |begun: Begun| begun.at().to_zoned(jiff::tz::TimeZone::UTC).hour();
        list(temp.path()).unwrap().into_iter().map(hour).collect()
    }

    #[test]
    fn files_are_deleted_by_age_once_all_of_them_is_old() {
        for (since, expected) in [
            ("2026-11-20T00:59:59Z", &[0, 1, 2, 8, 9][..]),
            ("2026-11-20T01:00:00Z", &[1, 2, 8, 9]),
            // Nothing comes into a file after an hour.
            ("2026-11-20T02:59:59Z", &[2, 8, 9]),
            ("2026-11-20T03:00:00Z", &[8, 9]),
            ("2026-11-21T00:00:00Z", &[9]),
        ] {
            assert_eq!(left(since, u64::MAX, 4), expected, "{since}");
        }
        assert!(left("2026-11-21T00:00:00Z", u64::MAX, 5).is_empty());
    }

    #[test]
    fn files_are_deleted_by_size_the_oldest_first() {
        let never = "2026-11-01T00:00:00Z";
        for (bytes, expected) in
            [(5000, &[0, 1, 2, 8, 9][..]), (4999, &[1, 2, 8, 9]), (2500, &[8, 9]), (0, &[9])]
        {
            assert_eq!(left(never, bytes, 4), expected, "{bytes}");
        }
    }
}
