//! The control group that the process is in, as far as it limits memory (cgroups(7), version 2 and 1).
//!
//! Choice: the places where every distribution and container runtime has them mounted are looked at, and
//! no others.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where control groups are.
const ROOT: &str = "/sys/fs/cgroup";

/// A limit above this is none: version 1 writes a number of its own for that.
const LIMIT_MAX: u64 = 1 << 60;

/// A control group with a limit.
#[derive(Debug)]
pub(super) struct Group {
    directory: PathBuf,
    files: &'static Files,
}

/// What a group's memory comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Usage {
    /// Bytes that cannot be taken back by dropping what was read of files.
    pub(super) used: u64,
    /// Bytes at which processes are ended.
    pub(super) limit: u64,
}

/// The names of what is read.
#[derive(Debug, Eq, PartialEq)]
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// In `memory.stat`: what the system can take back.
    cache: &'static str,
}

const V2: Files = Files { limit: "memory.max", usage: "memory.current", cache: "file" };
const V1: Files =
    Files { limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", cache: "total_cache" };

impl Group {
    /// Finds the group whose limit is the lowest, of the process's own and those around it.
    pub(super) fn find() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::find_in(Path::new(ROOT), &groups)
    }

    fn find_in(root: &Path, groups: &str) -> Option<Self> {
        let is_v2 = root.join("cgroup.controllers").exists();
        let (mount, files) = if is_v2 { (root.into(), &V2) } else { (root.join("memory"), &V1) };
        let path = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let is_it = if is_v2 {
                controllers.is_empty()
            } else {
                controllers.split(',').any(|name| name == "memory")
            };
            is_it.then_some(path)
        })?;
        // In a container the path may be that outside: then what is mounted is the process's own.
        let own = mount.join(path.trim_start_matches('/'));
        let around = own.ancestors().take_while(|directory| directory.starts_with(&mount));
        let limited = around.filter_map(|directory| {
            let group = Self { directory: directory.to_owned(), files };
            Some((group.limit()?, group))
        });
        limited.min_by_key(|(limit, _)| *limit).map(|(_, group)| group)
    }

    /// Reads what it has and may have.
    pub(super) fn usage(&mut self) -> Option<Usage> {
        let limit = self.limit()?;
        let usage: u64 = self.read(self.files.usage)?.trim().parse().ok()?;
        let stat = self.read("memory.stat")?;
        let cache = stat.lines().find_map(|line| {
            let (name, value) = line.split_once(' ')?;
            (name == self.files.cache).then(|| value.parse::<u64>().ok())?
        });
        Some(Usage { used: usage.saturating_sub(cache.unwrap_or(0)), limit })
    }

    fn limit(&self) -> Option<u64> {
        let limit = self.read(self.files.limit)?.trim().parse().ok()?;
        (limit < LIMIT_MAX).then_some(limit)
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(name)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes files of a group below a root.
    fn write(root: &Path, directory: &str, files: &[(&str, &str)]) {
        let directory = root.join(directory);
        fs::create_dir_all(&directory).unwrap();
        for (name, text) in files {
            fs::write(directory.join(name), text).unwrap();
        }
    }

    fn usage(root: &Path, groups: &str) -> Option<Usage> {
        Group::find_in(root, groups)?.usage()
    }

    #[test]
    fn lowest_limit_around_the_process_is_found() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "", &[("cgroup.controllers", "memory")]);
        let stat = ("memory.stat", "anon 5\nfile 300\nkernel 9\n");
        let outer = [("memory.max", "5000\n"), ("memory.current", "4000\n"), stat];
        write(root, "a", &outer);
        write(root, "a/b", &[("memory.max", "max\n"), ("memory.current", "900\n"), stat]);
        let found = usage(root, "1:cpu:/x\n0::/a/b\n");
        assert_eq!(found, Some(Usage { used: 3700, limit: 5000 }));
        write(root, "a/b", &[("memory.max", "1000\n")]);
        assert_eq!(usage(root, "0::/a/b\n"), Some(Usage { used: 600, limit: 1000 }));
        assert_eq!(usage(root, "0::/\n"), None);
    }

    #[test]
    fn group_of_a_container_is_what_is_mounted() {
        let root = tempfile::tempdir().unwrap();
        let files = [
            ("memory.limit_in_bytes", "2000\n"),
            ("memory.usage_in_bytes", "1500\n"),
            ("memory.stat", "cache 1\ntotal_cache 400\n"),
        ];
        write(root.path(), "memory", &files);
        let found = usage(root.path(), "9:cpu,memory:/docker/1f\n");
        assert_eq!(found, Some(Usage { used: 1100, limit: 2000 }));
        write(root.path(), "memory", &[("memory.limit_in_bytes", "9223372036854771712\n")]);
        assert_eq!(usage(root.path(), "9:cpu,memory:/docker/1f\n"), None);
    }
}
