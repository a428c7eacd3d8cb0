//! What was measured, a line for each test: on standard output, and in the file that
//! `FAREGATE_OVERLOAD_TABLE` names.

use std::{fs::File, io::Write, time::Duration};

use super::ordinary::Seen;

/// A line of the table.
pub(super) struct Row {
    /// Who came.
    pub(super) crowd: String,
    /// What the ordinary clients saw meanwhile.
    pub(super) seen: Seen,
    /// Until the last of the crowd was gone, or why that is no question.
    pub(super) gone: Option<Duration>,
    /// Resident memory of the program in KiB: before, and at the most.
    pub(super) memory_kib: [u64; 2],
}

impl Row {
    /// Writes it.
    pub(super) fn tell(&self) {
        let Self { crowd, seen, gone, memory_kib: [before, most] } = self;
        let Seen { count, errors, median, late, latest } = seen;
        let gone = gone.map_or("—".into(), |gone| format!("{:.1} s", gone.as_secs_f64()));
        let ms = |time: &Duration| format!("{:.1}", time.as_secs_f64() * 1000.0);
        let line = format!(
            "| {crowd} | {count} | {errors} | {} / {} / {} ms | {gone} | {} → {} MiB |\n",
            ms(median),
            ms(late),
            ms(latest),
            before / 1024,
            most / 1024,
        );
        print!("{line}");
        let Ok(path) = std::env::var("FAREGATE_OVERLOAD_TABLE") else { return };
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        // In one write: tests run at once.
        file.write_all(line.as_bytes()).unwrap();
    }
}
