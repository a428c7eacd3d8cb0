//! What the system knows of the process, under the names that every exporter uses.

use std::fs;

use super::family::{Family, Labels, Series};

/// The process as the system sees it. What cannot be read is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Processor time used, in user and system mode, in seconds.
    pub cpu_seconds: Option<f64>,
    /// Memory in use.
    pub resident_bytes: Option<u64>,
    /// Address space.
    pub virtual_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open descriptors.
    pub open_fds: Option<u64>,
    /// How many may be open.
    pub max_fds: Option<u64>,
    /// When it started, in seconds since 1970.
    pub start_seconds: Option<f64>,
}

/// Reads it.
pub fn read() -> Process {
    let mut process = Process::default();
    if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
        let boot = fs::read_to_string("/proc/stat").ok();
        process.read_stat(&stat, boot.as_deref(), rustix::param::clock_ticks_per_second() as f64);
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        process.resident_bytes = kibibytes(&status, "VmRSS:");
        process.virtual_bytes = kibibytes(&status, "VmSize:");
    }
    // The look at the directory opens one itself.
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1));
    process.open_fds = open.and_then(|open| u64::try_from(open).ok());
    process.max_fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    process
}

impl Process {
    /// Gives it as metrics.
    pub(super) fn families(&self) -> Vec<Family> {
        let Self {
            cpu_seconds,
            resident_bytes,
            virtual_bytes,
            threads,
            open_fds,
            max_fds,
            start_seconds,
        } = *self;
        let whole = |number: Option<u64>| number.map(|number| number as f64);
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory.", whole(resident_bytes)),
            ("process_virtual_memory_bytes", "Virtual memory.", whole(virtual_bytes)),
            ("process_threads", "Threads.", whole(threads)),
            ("process_open_fds", "Open file descriptors.", whole(open_fds)),
            ("process_max_fds", "How many file descriptors may be open.", whole(max_fds)),
            ("process_start_time_seconds", "Start of the process since 1970.", start_seconds),
        ];
        let cpu = cpu_seconds.map(|seconds| Family {
            name: "process_cpu_seconds",
            help: "Processor time, user and system.",
            series: Series::Seconds(vec![(Labels::new(), seconds)]),
        });
        let gauges = gauges
            .into_iter()
            .filter_map(|(name, help, value)| Some(Family::gauge(name, help, value?)));
        cpu.into_iter().chain(gauges).collect()
    }

    /// Takes apart proc(5)'s line: fields are counted from the third, behind the name in parentheses,
    /// which may contain anything.
    fn read_stat(&mut self, stat: &str, system: Option<&str>, ticks_per_second: f64) {
        let Some((_, rest)) = stat.rsplit_once(") ") else { return };
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| -> Option<f64> { fields.get(number - 3)?.parse().ok() };
        let ticks = field(14).zip(field(15)).map(|(user, system)| user + system);
        self.cpu_seconds = ticks.map(|ticks| ticks / ticks_per_second);
        self.threads = fields.get(20 - 3).and_then(|threads| threads.parse().ok());
        let boot = system.and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok())
        });
        self.start_seconds = boot.zip(field(22)).map(|(boot, age)| boot + age / ticks_per_second);
    }
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_name_that_looks_like_more_of_it() {
        let mut process = Process::default();
        let stat = "42 (a) S 1) S 1 42 42 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 7 0 1000 1 2 3";
        process.read_stat(stat, Some("cpu 1 2\nbtime 1700000000\n"), 100.0);
        assert_eq!(process.cpu_seconds, Some(3.0));
        assert_eq!(process.threads, Some(7));
        assert_eq!(process.start_seconds, Some(1_700_000_010.0));
    }

    #[test]
    fn own_process_has_all_figures() {
        let process = read();
        assert!(process.resident_bytes > Some(1 << 20), "{process:?}");
        assert!(process.virtual_bytes >= process.resident_bytes, "{process:?}");
        assert!(process.open_fds > Some(2) && process.max_fds >= process.open_fds, "{process:?}");
        assert!(process.threads >= Some(1) && process.cpu_seconds >= Some(0.0), "{process:?}");
        assert!(process.start_seconds > Some(1.6e9), "{process:?}");
    }
}
