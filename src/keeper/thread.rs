//! What the keeper's thread does: folds and changes in turn.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    clock::Clock,
    journal::{Company, FoldError, Follower},
    keeper::{Order, Shared, Watch},
    store::{Store, StoreError, UsageRow, Verdict, records::Records},
};

/// How often the thread looks for something new in the journal.
const PERIOD: Duration = Duration::from_millis(250);

/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A fold that took long is followed by a pause this many times as long, within bounds: with many
/// customers each fold writes much of the database anew, and one that brings more of each costs
/// hardly more. Who must see everything asks for a fold.
const PAUSE_FACTOR: u32 = 40;

/// A pause that is to be at least so long ends with a minute, for what is consumed in a minute that is
/// over is written once.
const BUSY_PAUSE: Duration = Duration::from_secs(15);

const MINUTE_MS: i64 = 60_000;

/// How many changes share a transaction at most, and how long they may take together before it is
/// committed: both bound how long the first of them and a fold wait.
const GROUP_MAX: usize = 256;
const GROUP_TIME: Duration = Duration::from_millis(50);

pub(super) fn start(
    shared: Arc<Shared>,
    follower: Follower,
    store: Box<dyn Store>,
    clock: Arc<Clock>,
    watch: Option<Box<dyn Watch>>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("faregate-store".into()).spawn(move || {
        let _tell_end = TellEnd(&shared);
        let beside = Beside { shared: &shared, clock, watch };
        run(beside, follower, store);
    })
}

/// Tells whoever waits that no answer will come, also when the thread panics.
struct TellEnd<'a>(&'a Shared);

impl Drop for TellEnd<'_> {
    fn drop(&mut self) {
        self.0.tell_end();
    }
}

fn run(mut beside: Beside<'_>, mut follower: Follower, mut store: Box<dyn Store>) {
    let shared = beside.shared;
    let mut pause = PERIOD;
    let mut fold_at = Instant::now() + pause;
    loop {
        let turn = shared.wait(fold_at);
        let is_last = match turn.order {
            Order::Run => false,
            Order::Stop => true,
            Order::Abandon | Order::Ended => return,
        };
        if turn.has_changes {
            make_changes(shared, &mut *store);
        }
        if is_last && turn.has_changes {
            // There may be more of them than go into one transaction.
            continue;
        }
        if !is_last && !turn.is_asked && Instant::now() < fold_at {
            continue;
        }
        let began = Instant::now();
        let result = follower.fold(&mut *store, &mut beside);
        let took = began.elapsed();
        beside.tell_watch();
        pause = match &result {
            Ok(()) => pause_after(took, beside.now()),
            Err(_) => (pause * 2).min(PAUSE_MAX),
        };
        fold_at = Instant::now() + pause;
        report(shared, &result);
        if is_last && result.is_ok() {
            follower.delete_all();
        }
        shared.answer(turn.asked, result);
        if is_last {
            return;
        }
    }
}

/// Gives how long to pause behind a fold that took so long and ended now.
fn pause_after(took: Duration, now: Timestamp) -> Duration {
    let pause = took * PAUSE_FACTOR;
    if pause < BUSY_PAUSE {
        return pause.max(PERIOD);
    }
    let least = i64::try_from(BUSY_PAUSE.as_millis()).unwrap_or(MINUTE_MS);
    let into = (now.as_millisecond() + least).rem_euclid(MINUTE_MS);
    let rest = u64::try_from(MINUTE_MS - into).unwrap_or(0);
    BUSY_PAUSE + Duration::from_millis(rest)
}

/// Makes changes that wait, in one transaction.
fn make_changes(shared: &Shared, store: &mut dyn Store) {
    let mut made = Vec::new();
    let mut began = None;
    let asked = Instant::now();
    let result = store.transact(&mut |records| {
        let began = began.get_or_insert_with(Instant::now);
        if made.len() >= GROUP_MAX || began.elapsed() >= GROUP_TIME {
            return Verdict::Done;
        }
        let Some(mut work) = shared.pop() else { return Verdict::Done };
        let verdict = work.run(records);
        made.push(work);
        verdict
    });
    if result.is_ok() {
        shared.figures.committed_changes(asked.elapsed());
    }
    if let Err(error) = &result {
        shared.figures.failed_changes();
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::error!(%error, cause, changes = made.len(), "changes are not made");
        if made.is_empty() {
            // Not even begun. Whoever waits learns it now rather than never.
            made.extend(std::iter::from_fn(|| shared.pop()).take(GROUP_MAX));
        }
    }
    made.into_iter().for_each(|work| work.end(result.clone()));
    store.told();
}

/// What goes along with a fold: the watch, and changes between two of its commits.
struct Beside<'a> {
    shared: &'a Shared,
    clock: Arc<Clock>,
    watch: Option<Box<dyn Watch>>,
}

impl Beside<'_> {
    fn tell_watch(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        if panic::catch_unwind(AssertUnwindSafe(|| watch.committed())).is_err() {
            tracing::error!("the watch of usage panicked");
        }
    }
}

impl Company for Beside<'_> {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn within(
        &mut self,
        records: &mut dyn Records,
        usage: &[UsageRow<'_>],
    ) -> Result<(), StoreError> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        // Usage goes on counting, whatever else is wrong.
        let caught = panic::catch_unwind(AssertUnwindSafe(|| watch.folded(records, usage)));
        caught.unwrap_or_else(|_| Err(StoreError::new("write to", "the watch of usage panicked")))
    }

    fn between(&mut self, store: &mut dyn Store) {
        let waits = !self.shared.lock().changes.is_empty();
        if waits {
            make_changes(self.shared, store);
        }
    }

    fn committed(&mut self, bytes: u64, took: Duration) {
        self.shared.figures.committed_fold(bytes, took);
    }
}

/// Logs when it begins to fail and when it is over, not each attempt.
fn report(shared: &Shared, result: &Result<(), FoldError>) {
    let failing = result.is_err();
    shared.figures.folded(!failing);
    let was_failing = shared.failing.swap(failing, Ordering::Relaxed);
    match result {
        Err(error) if !was_failing => {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, "cannot fold the journal; will try again");
        }
        Ok(()) if was_failing => tracing::info!("the journal is folded again"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pause_ends_with_a_minute_and_a_short_one_when_it_should() {
        let pause = |took_ms, now_ms| {
            let now = Timestamp::from_millisecond(now_ms).unwrap();
            pause_after(Duration::from_millis(took_ms), now).as_millis()
        };
        assert_eq!(pause(1, 59_999), 250);
        assert_eq!(pause(10, 59_999), 400);
        assert_eq!(pause(374, 0), 14_960);
        for (now, expected) in [(0, 60_000), (1000, 59_000), (45_000, 75_000), (44_999, 15_001)] {
            assert_eq!(pause(375, now), expected);
            assert_eq!(pause(9000, now - 600_000), expected);
        }
    }
}
