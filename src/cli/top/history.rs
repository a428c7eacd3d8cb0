//! Requests per second over the last minutes, for the chart.

use std::{collections::VecDeque, time::Duration};

/// How far the chart reaches back.
pub(super) const SPAN: Duration = Duration::from_secs(300);

/// The shortest interval gives four readings a second, so that this is never reached.
const READINGS_MAX: usize = 2000;

/// Readings with their times, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct History(VecDeque<(Duration, f64)>);

impl History {
    /// Adds a reading, with the time since the beginning.
    pub(super) fn push(&mut self, at: Duration, rate: f64) {
        self.0.push_back((at, rate));
        let is_old = |(then, _): &(Duration, f64)| *then + SPAN < at;
        while self.0.len() > READINGS_MAX || self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
    }

    /// Gives the mean of each of so many equal stretches of time, the last of which goes on now; `None`
    /// where there is no reading. The stretches begin at multiples of their length, so that a bar
    /// does not change once it is past.
    pub(super) fn bars(&self, count: usize, now: Duration) -> Vec<Option<f64>> {
        let length = SPAN.as_secs_f64() / count.max(1) as f64;
        let place = |at: Duration| (at.as_secs_f64() / length).floor();
        let last = place(now);
        let mut sums = vec![(0.0, 0_u32); count];
        for (at, rate) in &self.0 {
            let back = last - place(*at);
            // Negative or too large is saturated by the cast, and then found nowhere.
            let back = if back < 0.0 { usize::MAX } else { back as usize };
            let sum = count.checked_sub(1).and_then(|end| end.checked_sub(back));
            if let Some((sum, readings)) = sum.and_then(|index| sums.get_mut(index)) {
                *sum += rate;
                *readings += 1;
            }
        }
        let mean = |(sum, readings): (f64, u32)| (readings > 0).then(|| sum / f64::from(readings));
        sums.into_iter().map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn bars_are_means_and_gaps_stay_empty() {
        let mut history = History::default();
        for (at, rate) in [(0, 10.0), (50, 20.0), (70, 1.0), (80, 3.0), (250, 7.0)] {
            history.push(seconds(at), rate);
        }
        let bars = history.bars(5, seconds(299));
        assert_eq!(bars, [Some(15.0), Some(2.0), None, None, Some(7.0)]);
        // One stretch later all have moved by one.
        assert_eq!(history.bars(5, seconds(301)), [Some(2.0), None, None, Some(7.0), None]);
        assert_eq!(history.bars(0, seconds(301)), []);
    }

    #[test]
    fn readings_are_bounded() {
        let mut history = History::default();
        for at in 0..10_000 {
            history.push(seconds(at), 1.0);
        }
        assert_eq!(history.0.len(), 301);
        for _ in 0..10_000 {
            history.push(seconds(10_000), 1.0);
        }
        assert_eq!(history.0.len(), READINGS_MAX);
    }
}
