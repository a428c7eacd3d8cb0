//! When accounts are to be asked again whether they have something to say.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::ledger::Accounts;

/// Times are rounded up to this, so that what is due at about the same time is looked at together.
const GRAIN: Duration = Duration::from_millis(5);

/// Accounts by the time at which they are due. Some stand in it more than once: what was due earlier may have been
/// said by then.
#[derive(Debug)]
pub(super) struct Schedule {
    began: Instant,
    /// By grains since the beginning.
    due: BTreeMap<u128, Vec<Arc<Accounts>>>,
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, due: BTreeMap::new() }
    }

    /// Puts accounts in, to be looked at so much later.
    pub(super) fn put(&mut self, accounts: Arc<Accounts>, after: Duration, now: Instant) {
        let at = (now + after).saturating_duration_since(self.began);
        let grain = at.as_micros().div_ceil(GRAIN.as_micros());
        self.due.entry(grain).or_default().push(accounts);
    }

    /// Takes those that are due, some at a time; `None` where none is.
    pub(super) fn take(&mut self, now: Instant) -> Option<Vec<Arc<Accounts>>> {
        let passed = now.saturating_duration_since(self.began).as_micros() / GRAIN.as_micros();
        let first = self.due.first_entry()?;
        (*first.key() <= passed).then(|| first.remove())
    }

    /// Tells whether nothing is due at any time.
    pub(super) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Gives how long it is until the next are due; `None` where there are none.
    pub(super) fn next(&self, now: Instant) -> Option<Duration> {
        let (grain, _) = self.due.first_key_value()?;
        let micros = u64::try_from(grain.saturating_mul(GRAIN.as_micros())).unwrap_or(u64::MAX);
        let at = self.began + Duration::from_micros(micros);
        Some(at.saturating_duration_since(now))
    }
}
