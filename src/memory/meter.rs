//! How much memory is in use, and how much may be.

use std::{fs::File, os::unix::fs::FileExt};

use super::group::Group;
use crate::config::MemoryLimit;

/// Of a control group's limit so much is the ceiling, in percent: what is left is for what comes in
/// until it is noticed.
const PERCENT: u64 = 85;

/// What is looked at.
#[derive(Debug)]
pub(super) struct Meter {
    statm: Option<File>,
    page_bytes: u64,
    group: Option<Group>,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Reading {
    pub(super) used: u64,
    pub(super) ceiling: u64,
}

impl Meter {
    /// Finds out what there is to be looked at. What is not there is left out.
    pub(super) fn open() -> Self {
        Self {
            // It stays open: each look is a read then.
            statm: File::open("/proc/self/statm").ok(),
            page_bytes: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
            group: Group::find(),
        }
    }

    /// Looks; `None` without a ceiling, or where it cannot be seen.
    pub(super) fn read(&mut self, limit: MemoryLimit) -> Option<Reading> {
        match limit {
            MemoryLimit::None => None,
            MemoryLimit::Bytes(ceiling) => Some(Reading { used: self.resident()?, ceiling }),
            // What the group's limit counts, which is more than this process: what the system holds for
            // its sockets, and other processes beside it.
            MemoryLimit::OfGroup => {
                let usage = self.group.as_mut()?.usage()?;
                let ceiling = usage.limit / 100 * PERCENT;
                Some(Reading { used: usage.used, ceiling })
            }
        }
    }

    /// Gives the resident memory of the process (proc(5)).
    fn resident(&self) -> Option<u64> {
        let mut line = [0; 128];
        let length = self.statm.as_ref()?.read_at(&mut line, 0).ok()?;
        let text = std::str::from_utf8(line.get(..length)?).ok()?;
        let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
        pages.checked_mul(self.page_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_anew_each_time() {
        let mut meter = Meter::open();
        let mut used = || meter.read(MemoryLimit::Bytes(1)).unwrap().used;
        let before = used();
        assert!(before > 1 << 20, "{before}");
        let block = vec![1_u8; 64 << 20];
        let grown = used();
        assert!(grown >= before + (60 << 20), "{before}, then {grown} with {}", block.len());
        assert_eq!(meter.read(MemoryLimit::None), None);
    }
}
