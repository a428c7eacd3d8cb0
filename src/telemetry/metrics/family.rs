//! One metric with all its series, as it is shown.

use crate::telemetry::figures::Distribution;

/// A metric with all its series.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name with the unit, without `_total`.
    pub name: &'static str,
    /// What it tells, in a sentence.
    pub help: &'static str,
    /// Its series.
    pub series: Series,
}

/// The series of a metric, by their labels.
#[derive(Clone, Debug)]
pub enum Series {
    /// Numbers that only grow.
    Counters(Vec<(Labels, u64)>),
    /// Seconds that only grow.
    Seconds(Vec<(Labels, f64)>),
    /// Numbers that go up and down.
    Gauges(Vec<(Labels, f64)>),
    /// Times.
    Histograms(Vec<(Labels, Distribution)>),
    /// No number, but labels that tell something.
    Info(Labels),
}

/// Names and values.
pub(super) type Labels = Vec<(&'static str, String)>;

impl Family {
    /// Makes a metric that has one number.
    pub fn count(name: &'static str, help: &'static str, count: u64) -> Self {
        Self { name, help, series: Series::Counters(vec![(Labels::new(), count)]) }
    }

    /// Makes a metric that has one number, which goes up and down.
    pub fn gauge(name: &'static str, help: &'static str, gauge: f64) -> Self {
        Self { name, help, series: Series::Gauges(vec![(Labels::new(), gauge)]) }
    }
}

/// Makes labels.
pub(super) fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}
