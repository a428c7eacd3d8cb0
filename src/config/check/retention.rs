//! `retention` in `[store]`: for how long what is told about the past is kept.

use std::time::Duration;

use super::number::positive;
use crate::config::{
    Retention,
    file::{Field, RetentionTable, Size, Spanned, StoreTable},
    report::{Problem, Problems},
};

/// The least room for recent requests, some ten thousand of them.
const REQUESTS_SIZE_MIN: u64 = 1 << 20;

/// The longest that answers which were paid for are kept.
const ANSWERS_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long they are by default.
const ANSWERS: Duration = Duration::from_secs(600);

/// Checks `retention` in `[store]`.
pub(super) fn check(field: &Field<StoreTable>, problems: &mut Problems) -> Retention {
    let default = Retention::default();
    let none = RetentionTable::default();
    let table = field.value().and_then(|store| store.retention.value());
    let RetentionTable { requests, requests_size, entries, answers } = table.unwrap_or(&none);
    Retention {
        // Zero is no mistake here: it keeps none.
        requests: requests.value().copied().unwrap_or(default.requests),
        requests_size: check_size(requests_size, problems).unwrap_or(default.requests_size),
        entries: positive(entries, default.entries, problems),
        answers: check_answers(answers, problems).unwrap_or(default.answers),
    }
}

/// Zero is no mistake here: it keeps none.
fn check_answers(field: &Field<Duration>, problems: &mut Problems) -> Option<Duration> {
    let Spanned { value: time, span } = field.given()?;
    if *time > ANSWERS_MAX {
        let help = "the time is at most 24h; answers = \"0s\" keeps none";
        problems.add(Problem::error(*span, "the time is out of range").help(help));
    }
    Some(*time)
}

fn check_size(field: &Field<Size>, problems: &mut Problems) -> Option<u64> {
    let Spanned { value: Size(bytes), span } = field.given()?;
    if *bytes < REQUESTS_SIZE_MIN {
        let help = "the size is at least 1MiB; requests = \"0s\" keeps none";
        problems.add(Problem::error(*span, "the size is out of range").help(help));
    }
    Some(*bytes)
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        Self { requests: days(7), requests_size: 1 << 30, entries: days(400), answers: ANSWERS }
    }
}
