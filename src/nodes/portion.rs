//! Which part of rates and of limits on requests in flight is this node's, by how many are live.
//!
//! Race: when the server comes back after a while, the first node that reaches it sees the others as they were left,
//! not seen for long, and would take all for itself. So behind a gap a node waits for as long as it takes others to
//! be seen again before it believes that there are fewer of them. That there are more it believes at once.

use std::time::Duration;

use tokio::time::Instant;

use crate::{ledger::Portion, store::Beat};

/// Two beats that are further apart have a gap between them.
const GAP: Duration = Duration::from_millis(2500);

/// How long behind a gap nobody is believed to be gone: as long as one that is not seen counts as live.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Portions {
    known: Portion,
    /// The last beat, and when patience is over.
    last: Option<(Instant, Instant)>,
}

impl Portions {
    /// Gives the part to go by from here on.
    pub(super) fn learn(&mut self, beat: Beat, now: Instant) -> Portion {
        let patient_until = match self.last {
            Some((last, until)) if now.saturating_duration_since(last) < GAP => until,
            Some(_) => now + PATIENCE,
            None => now,
        };
        self.last = Some((now, patient_until));
        let Beat { is_heard: _, rank, count, leads: _ } = beat;
        if count >= self.known.count || now >= patient_until {
            self.known = Portion { rank, count };
        }
        self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_nodes_are_believed_only_when_the_others_had_time_to_be_seen() {
        let (mut portions, began) = (Portions::default(), Instant::now());
        let mut learn = |ms, rank, count| {
            let beat = Beat { is_heard: true, rank, count, leads: None };
            let portion = portions.learn(beat, began + Duration::from_millis(ms));
            (portion.rank, portion.count)
        };
        assert_eq!(learn(0, 0, 1), (0, 1));
        assert_eq!(learn(1000, 2, 3), (2, 3));
        assert_eq!(learn(2000, 1, 2), (1, 2));
        assert_eq!(learn(3000, 2, 3), (2, 3));
        // The server was away.
        assert_eq!(learn(60_000, 0, 1), (2, 3));
        assert_eq!(learn(61_000, 1, 2), (2, 3));
        assert_eq!(learn(62_000, 2, 4), (2, 4));
        assert_eq!(learn(63_000, 0, 1), (2, 4));
        assert_eq!(learn(64_000, 0, 1), (2, 4));
        assert_eq!(learn(65_000, 0, 1), (0, 1));
    }
}
