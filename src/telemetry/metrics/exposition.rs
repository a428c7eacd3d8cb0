//! The text that monitoring reads: OpenMetrics 1.0, or Prometheus' older format for those that do not
//! ask for it.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::{Registry, Unit},
};

use super::family::{Family, Labels, Series};
use crate::telemetry::figures::Distribution;

/// A format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// The Prometheus text format, version 0.0.4.
    Text,
}

impl Format {
    /// Chooses by an `Accept` field. Prometheus itself prefers OpenMetrics; who states nothing, or
    /// takes anything, gets the format that everything reads.
    pub fn accepted(accept: Option<&str>) -> Self {
        let is_open = |accept: &str| accept.contains("application/openmetrics-text");
        if accept.is_some_and(is_open) { Self::OpenMetrics } else { Self::Text }
    }

    /// Gives the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes metrics.
pub fn write(families: Vec<Family>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Families(families)));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(match format {
        Format::OpenMetrics => page,
        Format::Text => older(&page),
    })
}

#[derive(Debug)]
struct Families(Vec<Family>);

/// Nothing here carries exemplars.
type NoExemplar = Option<&'static Exemplar<Labels, f64>>;

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, series } in &self.0 {
            let kind = match series {
                Series::Counters(_) | Series::Seconds(_) => MetricType::Counter,
                Series::Gauges(_) => MetricType::Gauge,
                Series::Histograms(_) => MetricType::Histogram,
                Series::Info(_) => MetricType::Info,
            };
            let (name, unit) = split_unit(name);
            let metric = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
            encode(series, metric)?;
        }
        Ok(())
    }
}

/// Takes the unit off a name: it is written behind the name again, and in a line of its own.
fn split_unit(name: &str) -> (&str, Option<Unit>) {
    let units = [("_bytes", Unit::Bytes), ("_seconds", Unit::Seconds)];
    let split = |(suffix, unit)| Some((name.strip_suffix(suffix)?, Some(unit)));
    units.into_iter().find_map(split).unwrap_or((name, None))
}

fn encode(series: &Series, mut metric: MetricEncoder<'_>) -> fmt::Result {
    match series {
        Series::Counters(series) => {
            each(series, metric, |mut one, count| one.encode_counter(count, NoExemplar::None))
        }
        Series::Seconds(series) => {
            each(series, metric, |mut one, seconds| one.encode_counter(seconds, NoExemplar::None))
        }
        Series::Gauges(series) => each(series, metric, |mut one, gauge| one.encode_gauge(gauge)),
        Series::Histograms(series) => each(series, metric, encode_times),
        Series::Info(labels) => metric.encode_info(labels),
    }
}

fn each<T>(
    series: &[(Labels, T)],
    mut metric: MetricEncoder<'_>,
    encode: impl Fn(MetricEncoder<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (labels, value) in series {
        // The one series without labels would be written with empty braces.
        if labels.is_empty() {
            return encode(metric, value);
        }
        encode(metric.encode_family(labels)?, value)?;
    }
    Ok(())
}

fn encode_times(mut one: MetricEncoder<'_>, times: &Distribution) -> fmt::Result {
    let seconds = |bound: Option<u64>| bound.map_or(f64::INFINITY, |us| us as f64 / 1e6);
    let buckets = times.buckets.iter().map(|(bound, count)| (seconds(*bound), *count));
    let (sum, count) = (times.sum_ns as f64 / 1e9, times.count());
    one.encode_histogram::<Labels>(sum, count, &buckets.collect::<Vec<_>>(), None)
}

/// Turns OpenMetrics into the older format: there a counter is called by the name of its series, and
/// information is a gauge.
fn older(page: &str) -> String {
    let mut older = String::with_capacity(page.len());
    // The line of help comes before that of the type, so it waits.
    let mut help: Option<(&str, &str)> = None;
    for line in page.lines() {
        if let Some((name, text)) =
            line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
        {
            help = Some((name, text));
            continue;
        }
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        else {
            if !line.starts_with('#') {
                older.push_str(line);
                older.push('\n');
            }
            continue;
        };
        let (suffix, kind) = match kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            other => ("", other),
        };
        if let Some((_, text)) = help.take().filter(|(described, _)| *described == name) {
            older.push_str(&format!("# HELP {name}{suffix} {text}\n"));
        }
        older.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
    }
    older
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{figures::Times, metrics::family::labels};

    fn families() -> Vec<Family> {
        let times = Times::new(&[100, 2_500]);
        for micros in [50, 100, 1_000, 9_000] {
            times.take(std::time::Duration::from_micros(micros));
        }
        let mut taken = Distribution::default();
        times.add_to(&mut taken);
        let odd = labels([("route", "a\"b\\c\nd")]);
        vec![
            Family::count("x_requests", "How many.", 3),
            Family { name: "x_units", help: "By route.", series: Series::Counters(vec![(odd, 1)]) },
            Family::gauge("x_up", "Whether.", 1.0),
            Family {
                name: "x_duration_seconds",
                help: "How long.",
                series: Series::Histograms(vec![(labels([("kind", "fold")]), taken)]),
            },
            Family {
                name: "x_build",
                help: "Which.",
                series: Series::Info(labels([("version", "1")])),
            },
        ]
    }

    #[test]
    fn openmetrics() {
        insta::assert_snapshot!(write(families(), Format::OpenMetrics).unwrap());
    }

    #[test]
    fn older_format_names_counters_by_their_series() {
        insta::assert_snapshot!(write(families(), Format::Text).unwrap());
    }

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3";
        for (accept, format) in [
            (None, Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/plain"), Format::Text),
            (Some(prometheus), Format::OpenMetrics),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept:?}");
        }
    }
}
