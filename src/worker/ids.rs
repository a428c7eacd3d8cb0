//! Request ids, and what else is made up for a request.

use std::cell::Cell;

use jiff::Timestamp;
use uuid::Uuid;

use crate::telemetry::traces::{self, context::SpanId};

/// Makes request ids: UUIDs of version 7, which sort by time. The random part is a counter from a
/// random start, so that no request pays for the system's random numbers.
#[derive(Debug)]
pub struct IdMaker {
    next: Cell<u128>,
    next_span: Cell<u64>,
}

impl IdMaker {
    /// Makes one with a random start.
    pub fn new() -> std::io::Result<Self> {
        let (mut seed, mut span_seed) = ([0; 16], [0; 8]);
        getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
        getrandom::fill(&mut span_seed).map_err(std::io::Error::other)?;
        Ok(Self {
            next: Cell::new(u128::from_le_bytes(seed)),
            next_span: Cell::new(u64::from_le_bytes(span_seed)),
        })
    }

    /// Makes the id of a span: a counter from a random start, each number spread to another one, so
    /// that a worker makes none twice.
    pub(crate) fn span(&self) -> SpanId {
        loop {
            let next = self.next_span.get().wrapping_add(1);
            self.next_span.set(next);
            let id = traces::mix(next);
            // One number is spread to zero, which is no id.
            if id != 0 {
                return SpanId(id.to_be_bytes());
            }
        }
    }

    /// Makes the mask of a WebSocket's frame, which nobody outside can guess (RFC 6455 section 5.3).
    pub(crate) fn mask(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.nonce().to_be_bytes();
        [a, b, c, d]
    }

    /// Makes the nonce of a WebSocket's key, which is to be chosen at random (RFC 6455 section 4.1): ids of spans would
    /// tell it, since they are counted and told to upstreams. A WebSocket costs more than a call of the system's.
    pub(crate) fn nonce(&self) -> u128 {
        let mut random = [0; 16];
        match getrandom::fill(&mut random) {
            Ok(()) => u128::from_be_bytes(random),
            // The system had numbers at the start, and has them from then on.
            Err(_) => self.make(Timestamp::UNIX_EPOCH).as_u128(),
        }
    }

    /// Makes the id of a request.
    pub(crate) fn make(&self, now: Timestamp) -> Uuid {
        // An odd stride visits every value before it repeats one.
        const STRIDE: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;
        let random = self.next.get().wrapping_add(STRIDE);
        self.next.set(random);
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let bytes = random.to_be_bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(bytes.get(..10).unwrap_or(&[0; 10]));
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &tail).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_ids_differ_and_are_never_zero() {
        let ids = IdMaker::new().unwrap();
        // The mix of zero is zero.
        ids.next_span.set(u64::MAX - 5);
        let made: std::collections::HashSet<_> = (0..100_000).map(|_| ids.span()).collect();
        assert_eq!(made.len(), 100_000);
        assert!(!made.contains(&SpanId([0; 8])));
    }

    #[test]
    fn nonces_and_masks_do_not_follow_from_what_upstreams_are_told() {
        let (one, other) = (IdMaker::new().unwrap(), IdMaker::new().unwrap());
        other.next.set(one.next.get());
        other.next_span.set(one.next_span.get());
        let made: std::collections::HashSet<_> =
            (0..1000).flat_map(|_| [one.nonce(), other.nonce()]).collect();
        assert_eq!(made.len(), 2000);
        let masks = |ids: &IdMaker| (0..10).map(|_| ids.mask()).collect::<Vec<_>>();
        assert_ne!(masks(&one), masks(&other));
        // Each bit is sometimes set and sometimes not.
        let bits = |bits: u128, nonce: &u128| bits | nonce;
        assert_eq!(made.iter().fold(0, bits), u128::MAX);
        assert_eq!(made.iter().map(|nonce| !nonce).fold(0, |all, one| bits(all, &one)), u128::MAX);
    }

    #[test]
    fn request_ids_differ_and_sort_by_time() {
        let ids = IdMaker::new().unwrap();
        let early: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let late: Timestamp = "2026-11-20T00:00:01Z".parse().unwrap();
        let made: std::collections::HashSet<Uuid> = (0..100_000).map(|_| ids.make(early)).collect();
        assert_eq!(made.len(), 100_000);
        assert!(made.iter().all(|id| *id < ids.make(late) && id.get_version_num() == 7));
    }
}
