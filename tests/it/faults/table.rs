//! What was measured, a line for each fault: on standard output, and in the file that
//! `FAREGATE_FAULT_TABLE` names.

use std::{fs::File, io::Write, time::Duration};

use super::load::{Got, Seen, count, first_unavailable};
use tokio::time::Instant;

/// A line of the table.
pub(super) struct Row {
    /// What was broken.
    pub(super) fault: String,
    /// What callers of counted routes got while it lasted.
    pub(super) callers: String,
    /// From its beginning to the first 503.
    pub(super) first: Option<Duration>,
    /// What callers of public routes got.
    pub(super) public: String,
    /// From its end to being served again; `None` where nothing was interrupted.
    pub(super) recovery: Option<Duration>,
    /// What the books said.
    pub(super) audit: &'static str,
}

/// The books hold what the upstream received: now, after a kill, and in the database.
pub(super) const EXACT: &str = "exact";

/// After an end in the middle of its work and a start, the books hold what the upstream received, and besides
/// at most what was open.
pub(super) const AFTER_CRASH: &str = "nothing lost, open requests charged in full";

impl Row {
    /// Makes the line of what callers saw since a fault began, and how long after its end they were last
    /// refused.
    pub(super) fn new(fault: &str, seen: &[Seen], began: Instant, recovery: Duration) -> Self {
        let seen: Vec<_> = seen.iter().filter(|seen| seen.at > began).copied().collect();
        let (refused, served) = (count(&seen, Got::Unavailable), count(&seen, Got::Served));
        let open: Vec<_> = seen.iter().filter(|seen| seen.got == Got::Open).copied().collect();
        Self {
            fault: fault.into(),
            callers: match (refused, served) {
                (0, _) => "served".into(),
                (_, 0) => "503".into(),
                _ => format!("503 ({refused} of {})", refused + served),
            },
            first: first_unavailable(&seen, began),
            public: format!("served, {} at most", time(super::load::slowest(&open))),
            recovery: (refused > 0).then_some(recovery),
            audit: EXACT,
        }
    }

    /// Writes it.
    pub(super) fn tell(&self) {
        let Self { fault, callers, first, public, recovery, audit } = self;
        let time = |duration: &Option<Duration>| duration.map_or("—".into(), time);
        let (first, recovery) = (time(first), time(recovery));
        let line = format!("| {fault} | {callers} | {first} | {public} | {recovery} | {audit} |\n");
        print!("{line}");
        let Ok(path) = std::env::var("FAREGATE_FAULT_TABLE") else { return };
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        // In one write: tests run at once.
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Writes a time as people do.
pub(super) fn time(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ ..1000 => format!("{ms} ms"),
        ms => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}
