//! What the sample API sells: the statistics of the caller's numbers.

use serde::Serialize;

/// How many numbers one request may bring.
pub(super) const NUMBERS_MAX: usize = 10_000;

/// The largest magnitude of a number, so that no sum or square leaves the range of a float.
const MAGNITUDE_MAX: f64 = 1e15;

/// Why numbers are not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum BadNumbers {
    #[error("there are no numbers; send some, such as 3,4,5")]
    None,
    #[error("at least one of the numbers is no number, or larger than 1e15")]
    NotNumber,
    #[error("there are more than {NUMBERS_MAX} numbers")]
    TooMany,
}

/// What is told in short.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    count: usize,
    mean: f64,
    median: f64,
    /// Of the whole population, not of a sample of it.
    standard_deviation: f64,
}

/// What is told at length.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    summary: Summary,
    minimum: f64,
    maximum: f64,
    sum: f64,
    sorted: Vec<f64>,
}

/// Numbers to compute with: in order, and at least one.
#[derive(Debug)]
pub(super) struct Numbers(Vec<f64>);

impl Numbers {
    /// Reads numbers with commas or white space between them, in brackets or not.
    pub(super) fn parse(text: &str) -> Result<Self, BadNumbers> {
        let text = text.replace("%2C", ",").replace("%2c", ",");
        let is_between = |c: char| c.is_whitespace() || [',', '[', ']'].contains(&c);
        let mut numbers = Vec::new();
        for word in text.split(is_between).filter(|word| !word.is_empty()) {
            if numbers.len() == NUMBERS_MAX {
                return Err(BadNumbers::TooMany);
            }
            let number = word.parse().ok().filter(|number: &f64| number.abs() <= MAGNITUDE_MAX);
            numbers.push(number.ok_or(BadNumbers::NotNumber)?);
        }
        numbers.sort_by(f64::total_cmp);
        if numbers.is_empty() { Err(BadNumbers::None) } else { Ok(Self(numbers)) }
    }

    /// Computes what is told in short.
    pub(super) fn summary(&self) -> Summary {
        let Self(sorted) = self;
        let count = sorted.len();
        // There are few enough of them for a float to count.
        let divisor = count as f64;
        let mean = sorted.iter().sum::<f64>() / divisor;
        let variance = sorted.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / divisor;
        let at = |index: usize| sorted.get(index).copied().unwrap_or(mean);
        let median = (at(count.saturating_sub(1) / 2) + at(count / 2)) / 2.0;
        Summary { count, mean, median, standard_deviation: variance.sqrt() }
    }

    /// Computes what is told at length.
    pub(super) fn report(self) -> Report {
        let summary = self.summary();
        let Self(sorted) = self;
        let end = |number: Option<&f64>| number.copied().unwrap_or(summary.mean);
        Report {
            minimum: end(sorted.first()),
            maximum: end(sorted.last()),
            sum: sorted.iter().sum(),
            sorted,
            summary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(text: &str) -> Summary {
        Numbers::parse(text).unwrap().summary()
    }

    #[test]
    fn statistics_of_known_numbers() {
        // The standard deviation's usual example: 2 exactly.
        let known = summary("2,4,4,4,5,5,7,9");
        let expected = Summary { count: 8, mean: 5.0, median: 4.5, standard_deviation: 2.0 };
        assert_eq!(known, expected);
        assert_eq!(summary("[9, 7,5\n5 4,4%2C4,2]"), expected);
        assert_eq!(summary("3").median, 3.0);
        assert_eq!(summary("3").standard_deviation, 0.0);
        let report = Numbers::parse("5,3,4").unwrap().report();
        assert_eq!((report.minimum, report.maximum, report.sum), (3.0, 5.0, 12.0));
        assert_eq!(report.sorted, [3.0, 4.0, 5.0]);
    }

    #[test]
    fn other_input_is_refused() {
        let refused = |text: &str| Numbers::parse(text).unwrap_err();
        for text in ["", ",", "[]"] {
            assert_eq!(refused(text), BadNumbers::None, "{text}");
        }
        for text in ["x", "1,two", "NaN", "inf", "-inf", "1e16", "1;2"] {
            assert_eq!(refused(text), BadNumbers::NotNumber, "{text}");
        }
        assert_eq!(refused(&"1,".repeat(NUMBERS_MAX + 1)), BadNumbers::TooMany);
    }
}
