//! Until when a certificate holds.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

/// From so long before it on the end of a certificate is warned of.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Until when a certificate holds that the gateway shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Validity {
    /// Its file.
    pub file: PathBuf,
    /// The first of its names.
    pub name: Option<String>,
    /// The last instant at which it is valid, where that can be told.
    pub not_after: Option<Timestamp>,
}

impl Validity {
    /// Tells when it ends, if that is soon or over: `ends on …` or `ended on …`.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let not_after = self.not_after?;
        if not_after >= now.saturating_add(ENDS_SOON).unwrap_or(Timestamp::MAX) {
            return None;
        }
        let verb = if not_after < now { "ended" } else { "ends" };
        Some(format!("{verb} on {not_after}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_is_told_from_a_fortnight_before_it_on() {
        let not_after = Some("2026-12-31T00:00:00Z".parse().unwrap());
        let validity = Validity { file: "a.crt".into(), name: None, not_after };
        for (now, warning) in [
            ("2026-12-17T00:00:00Z", None),
            ("2026-12-17T00:00:01Z", Some("ends on 2026-12-31T00:00:00Z")),
            ("2026-12-31T00:00:00Z", Some("ends on 2026-12-31T00:00:00Z")),
            ("2026-12-31T00:00:01Z", Some("ended on 2026-12-31T00:00:00Z")),
        ] {
            assert_eq!(validity.warning(now.parse().unwrap()).as_deref(), warning, "{now}");
        }
        let untold = Validity { not_after: None, ..validity };
        assert_eq!(untold.warning(Timestamp::MAX), None);
    }
}
