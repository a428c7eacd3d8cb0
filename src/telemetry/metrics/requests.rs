//! What one worker counts of its requests, by labels whose number is bounded.
//!
//! Labels are names of the configuration and of our own tables, never what a caller sends: a path, a
//! key or a method would let anybody make as many series as he likes.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::telemetry::figures::{Count, LONG, SHORT, Times};

/// How many series a worker makes. Many reloads with ever new names end here; what comes beyond is
/// counted under [`OTHER`].
const SERIES_MAX: usize = 10_000;

/// The route and the plan of what has no series of its own.
pub const OTHER: &str = "other";

/// What tells a series from another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Labels<'a> {
    /// The route's name; empty where none was found.
    pub route: &'a str,
    /// The plan's id; empty where there is none.
    pub plan: &'a str,
    /// The answer's status; 0 when none was given.
    pub status: u16,
    /// The refusal's code; empty where nothing was refused.
    pub code: &'static str,
    /// The code of a refusal that was overlooked.
    pub shadow: &'static str,
    /// The ending; empty for the gateway's own pages.
    pub ending: &'static str,
}

/// What one request adds.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Units charged.
    pub units: u64,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// The time until the answer's head, less that at the upstream.
    pub gateway: Duration,
    /// The time until the answer's end.
    pub whole: Duration,
}

/// The requests that share their labels.
#[derive(Debug)]
pub struct Series {
    route: Box<str>,
    plan: Box<str>,
    status: u16,
    code: &'static str,
    shadow: &'static str,
    ending: &'static str,
    /// How many.
    pub requests: Count,
    /// Units charged.
    pub units: Count,
    /// Bytes of the answers' bodies.
    pub bytes: Count,
    times: Arc<RouteTimes>,
}

/// How long the requests of one route took.
#[derive(Debug)]
pub struct RouteTimes {
    /// The route's name.
    pub route: Box<str>,
    /// Until the answer's head, less the time at the upstream.
    pub gateway: Times,
    /// Until the answer's end.
    pub whole: Times,
}

/// All series of a worker, as others read them. The lock is taken when a series is made and when the
/// metrics are asked for, not for a request.
#[derive(Debug, Default)]
pub struct Roll(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    series: Vec<Arc<Series>>,
    times: Vec<Arc<RouteTimes>>,
}

/// The worker's own way to its series.
#[derive(Debug)]
pub struct Recorder {
    hasher: RandomState,
    /// The one that was counted last, which is the next one's almost always.
    last: RefCell<Option<Arc<Series>>>,
    /// By the hash of the labels, so that a look-up clones no name.
    series: RefCell<HashMap<u64, Vec<Arc<Series>>>>,
    made: Cell<usize>,
    roll: Arc<Roll>,
}

impl Recorder {
    /// Makes one whose series stand on a roll.
    pub fn new(roll: Arc<Roll>) -> Self {
        Self {
            hasher: RandomState::new(),
            last: RefCell::default(),
            series: RefCell::default(),
            made: Cell::new(0),
            roll,
        }
    }

    /// Counts a request that has ended.
    pub fn count(&self, labels: &Labels<'_>, request: &Request) {
        let mut last = self.last.borrow_mut();
        match &*last {
            Some(series) if series.labels() == *labels => series.add(request),
            _ => last.insert(self.find(labels)).add(request),
        }
    }

    fn find(&self, labels: &Labels<'_>) -> Arc<Series> {
        let hash = self.hasher.hash_one(labels);
        let mut known = self.series.borrow_mut();
        let alike = known.get(&hash).map(Vec::as_slice).unwrap_or_default();
        if let Some(series) = alike.iter().find(|series| series.labels() == *labels) {
            return Arc::clone(series);
        }
        if self.made.get() >= SERIES_MAX && labels.route != OTHER {
            drop(known);
            return self.find(&Labels { route: OTHER, plan: OTHER, ..*labels });
        }
        let series = self.roll.make(labels);
        known.entry(hash).or_default().push(Arc::clone(&series));
        self.made.set(self.made.get() + 1);
        series
    }
}

impl Roll {
    fn make(&self, labels: &Labels<'_>) -> Arc<Series> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Labels { route, plan, status, code, shadow, ending } = *labels;
        let times = match made.times.iter().find(|times| *times.route == *route) {
            Some(times) => Arc::clone(times),
            None => {
                let times = RouteTimes {
                    route: route.into(),
                    gateway: Times::new(SHORT),
                    whole: Times::new(LONG),
                };
                let times = Arc::new(times);
                made.times.push(Arc::clone(&times));
                times
            }
        };
        let series = Arc::new(Series {
            route: route.into(),
            plan: plan.into(),
            status,
            code,
            shadow,
            ending,
            requests: Count::default(),
            units: Count::default(),
            bytes: Count::default(),
            times,
        });
        made.series.push(Arc::clone(&series));
        series
    }

    /// Shows each series and the times of each route.
    pub fn read(&self, mut series: impl FnMut(&Series), mut times: impl FnMut(&RouteTimes)) {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.series.iter().for_each(|made| series(made));
        made.times.iter().for_each(|made| times(made));
    }
}

impl Series {
    /// Gives its labels.
    pub fn labels(&self) -> Labels<'_> {
        Labels {
            route: &self.route,
            plan: &self.plan,
            status: self.status,
            code: self.code,
            shadow: self.shadow,
            ending: self.ending,
        }
    }

    fn add(&self, request: &Request) {
        let Request { units, bytes, gateway, whole } = *request;
        self.requests.add(1);
        self.units.add(units);
        self.bytes.add(bytes);
        self.times.gateway.take(gateway);
        self.times.whole.take(whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: Request = Request {
        units: 2,
        bytes: 10,
        gateway: Duration::from_micros(30),
        whole: Duration::from_millis(3),
    };

    fn labels(route: &str) -> Labels<'_> {
        let (code, shadow, ending) = ("", "", "completed");
        Labels { route, plan: "pro", status: 200, code, shadow, ending }
    }

    fn counted(roll: &Roll) -> Vec<(String, u64, u64)> {
        let mut found = Vec::new();
        let mut add = |series: &Series| {
            found.push((series.route.to_string(), series.requests.get(), series.units.get()));
        };
        roll.read(&mut add, |_| ());
        found
    }

    #[test]
    fn requests_with_the_same_labels_share_a_series() {
        let roll = Arc::new(Roll::default());
        let recorder = Recorder::new(Arc::clone(&roll));
        for route in ["a", "b", "a"] {
            recorder.count(&labels(route), &REQUEST);
        }
        recorder.count(&Labels { status: 201, ..labels("a") }, &REQUEST);
        let expected = [("a".into(), 2, 4), ("b".into(), 1, 2), ("a".into(), 1, 2)];
        assert_eq!(counted(&roll), expected);
        let mut routes = Vec::new();
        roll.read(|_| (), |times| routes.push(times.route.to_string()));
        assert_eq!(routes, ["a", "b"]);
    }

    #[test]
    fn series_are_bounded_and_no_request_is_lost() {
        let roll = Arc::new(Roll::default());
        let recorder = Recorder::new(Arc::clone(&roll));
        for route in 0..SERIES_MAX + 500 {
            recorder.count(&labels(&route.to_string()), &REQUEST);
        }
        let counted = counted(&roll);
        assert_eq!(counted.len(), SERIES_MAX + 1);
        assert_eq!(counted.last(), Some(&(OTHER.to_owned(), 500, 1000)));
        assert_eq!(recorder.series.borrow().values().map(Vec::len).sum::<usize>(), SERIES_MAX + 1);
    }
}
