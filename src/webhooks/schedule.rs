//! When a delivery that failed is tried again: soon at first, then for about three days.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// The waits after the first failure, the second, and so on, in seconds; 75 hours in all.
const WAITS: [u64; 9] =
    [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// How often a delivery is tried before it is dead.
pub const ATTEMPTS_MAX: u32 = WAITS.len() as u32 + 1;

/// The longest wait that a receiver can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * HOUR);

/// Gives the wait after so many failed attempts, or nothing when there will be no other.
///
/// A random number adds up to a tenth, so that what failed together does not return together. A
/// receiver's `Retry-After` lengthens the wait, up to a day, and never shortens it.
pub fn delay_after(attempts: u32, retry_after: Option<Duration>, random: u32) -> Option<Duration> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let seconds = WAITS.get(index)?;
    let planned_ms = seconds * 1000;
    let jitter_ms = planned_ms / 10 * u64::from(random) / u64::from(u32::MAX);
    let planned = Duration::from_millis(planned_ms + jitter_ms);
    let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    Some(planned.max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(attempts: u32, random: u32) -> Option<u64> {
        delay_after(attempts, None, random).map(|delay| delay.as_secs())
    }

    #[test]
    fn waits_grow_to_a_day_and_end() {
        let waits: Vec<u64> = (1..).map_while(|attempts| seconds(attempts, 0)).collect();
        assert_eq!(waits, [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]);
        assert_eq!(waits.iter().sum::<u64>() / HOUR, 75);
        assert_eq!(ATTEMPTS_MAX, 10);
        assert_eq!(seconds(ATTEMPTS_MAX, 0), None);
        assert_eq!(seconds(u32::MAX, u32::MAX), None);
        assert_eq!(seconds(0, 0), None);
    }

    #[test]
    fn jitter_adds_at_most_a_tenth() {
        let delay = |random| delay_after(1, None, random).unwrap().as_millis();
        assert_eq!((delay(0), delay(u32::MAX / 2), delay(u32::MAX)), (5000, 5249, 5500));
        assert_eq!(seconds(9, u32::MAX), Some(86_400 + 8640));
    }

    #[test]
    fn retry_after_lengthens_up_to_a_day() {
        let delay = |attempts, asked| {
            delay_after(attempts, Some(Duration::from_secs(asked)), 0).map(|d| d.as_secs())
        };
        assert_eq!(delay(1, 120), Some(120));
        assert_eq!(delay(1, 0), Some(5));
        assert_eq!(delay(4, 120), Some(7200));
        assert_eq!(delay(1, u64::MAX), Some(86_400));
        assert_eq!(delay(ATTEMPTS_MAX, 120), None);
    }
}
