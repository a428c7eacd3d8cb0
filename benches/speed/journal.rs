//! Appending to a journal on the disk, and bringing a segment into the store at a start.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use criterion::{BatchSize, Criterion, Throughput};
use faregate::{
    journal::{Journal, SEGMENT_BYTES},
    ledger::Ledger,
};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::{
    limits::{every_kind, noon, take},
    place::{self, append_pair, journal_in, store_in},
};

/// Customers whose requests stand in the segment that is read.
const CUSTOMERS: u64 = 1000;

/// Pairs of records that fill less than one segment, with the definitions before them.
const PAIRS: u64 = 60_000;

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal");
    let (directory, mut writer) = place::open();
    let hold = take(&Ledger::new(noon()), "acme", &every_kind());
    group.bench_function("append a pair", |bencher| {
        let mut round = || append_pair(&mut writer, &hold, 1);
        bencher.iter_custom(|rounds| timed(rounds, directory.path(), &mut round));
    });
    let written = write_segment();
    group.throughput(Throughput::Elements(2 * PAIRS)).sample_size(10);
    group.bench_function("fold a segment at the start", |bencher| {
        bencher.iter_batched(
            || copy(written.path()),
            |directory| {
                let mut store = store_in(directory.path());
                let (_, recovery) =
                    Journal::open(&journal_in(directory.path()), &mut store).unwrap();
                assert_eq!((recovery.segments, recovery.settled), (1, PAIRS));
                directory
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Runs rounds that write to a journal, and deletes what was written now and then, which is not
/// counted: in a gateway the keeper does it.
pub(crate) fn timed(rounds: u64, directory: &Path, round: &mut dyn FnMut()) -> Duration {
    const BETWEEN: u64 = 1 << 18;
    let (mut left, mut total) = (rounds, Duration::ZERO);
    while left > 0 {
        let now = left.min(BETWEEN);
        let begun = Instant::now();
        (0..now).for_each(|_| round());
        total += begun.elapsed();
        left -= now;
        let mut segments = segments(directory);
        // The last one is being written.
        segments.pop();
        segments.iter().for_each(|path| fs::remove_file(path).unwrap());
    }
    total
}

/// Lists the segments of the only worker in order.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(journal_in(directory)).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    segments.sort();
    segments
}

/// Fills a segment, as the process that is gone left it.
fn write_segment() -> place::Place {
    let (directory, mut writer) = place::open();
    let (ledger, limits) = (Ledger::new(noon()), every_kind());
    let holds: Vec<_> =
        (0..CUSTOMERS).map(|n| take(&ledger, &format!("customer{n}"), &limits)).collect();
    let pairs = (0..CUSTOMERS).zip(&holds).cycle().take(usize::try_from(PAIRS).unwrap());
    pairs.for_each(|(key_uid, hold)| append_pair(&mut writer, hold, key_uid));
    writer.flush().unwrap();
    let [segment] = &segments(directory.path())[..] else { panic!("one segment is wanted") };
    assert!(fs::metadata(segment).unwrap().len() < SEGMENT_BYTES);
    directory
}

/// Puts a journal in a new directory without a store.
fn copy(written: &Path) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let to = journal_in(directory.path());
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(journal_in(written)).unwrap() {
        let from = entry.unwrap().path();
        fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
    }
    directory
}
