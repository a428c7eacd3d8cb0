//! Checks of endpoints by requests of the gateway's own: one task for each endpoint of the whole process,
//! beside the workers. They are no callers' requests: nothing counts or charges them.
//!
//! An endpoint whose checks fail is left out where there is another to ask. What is known of it belongs to
//! its upstream's id and its address: a reload that leaves both keeps it.

mod grpc;
mod probe;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use http::{HeaderName, HeaderValue};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use self::probe::{Failure, Speech};
use super::{
    standing::{Checks, Standing},
    tls::Identity,
};
use crate::{
    gateway::Gateway,
    model::{Endpoint, Health, HttpVersion, Upstream},
    telemetry::metrics::Endpoints,
    worker::Stop,
};

/// The task that begins and ends checks as the configuration wants them.
pub(crate) struct Checkers {
    gateway: Arc<Gateway>,
    tasks: JoinSet<()>,
    running: Vec<Running>,
}

/// Checks of one endpoint.
struct Running {
    upstream: Arc<str>,
    /// The endpoint's.
    name: Arc<str>,
    health: Health,
    version: HttpVersion,
    set_headers: Vec<(HeaderName, HeaderValue)>,
    tls: Option<Identity>,
    standing: Arc<Standing>,
    task: AbortHandle,
}

impl Checkers {
    /// Makes the task of a gateway.
    pub(crate) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway, tasks: JoinSet::new(), running: Vec::new() }
    }

    /// Runs until the stop.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<Stop>) {
        let mut reloaded = self.gateway.reloaded();
        loop {
            // Before the look at the snapshot: a reload after it is one more round.
            reloaded.mark_unchanged();
            self.follow(&self.gateway.snapshot().upstreams);
            tokio::select! {
                Ok(()) = reloaded.changed() => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Ends the checks that are not wanted any more, or in another way, and begins those that are missing.
    fn follow(&mut self, upstreams: &[Arc<Upstream>]) {
        let Self { gateway, tasks, running } = self;
        let endpoints = gateway.metrics().endpoints();
        running.retain(|of| of.goes_on(upstreams, endpoints));
        for upstream in upstreams {
            let Some(health) = &upstream.health else { continue };
            for endpoint in upstream.endpoints.iter() {
                let is_it = |of: &Running| of.upstream == upstream.id && of.name == endpoint.name;
                if !running.iter().any(is_it) {
                    running.push(Running::begin(tasks, endpoints, upstream, endpoint, health));
                }
            }
        }
        // What was ended before is taken out.
        while tasks.try_join_next().is_some() {}
    }
}

impl Running {
    fn begin(
        tasks: &mut JoinSet<()>,
        endpoints: &Endpoints,
        upstream: &Upstream,
        endpoint: &Endpoint,
        health: &Health,
    ) -> Self {
        let standing = endpoints.begin_checks(&upstream.id, &endpoint.name);
        let checker = Checker {
            upstream: Arc::clone(&upstream.id),
            endpoint: endpoint.clone(),
            speech: Speech { tls: upstream.tls.clone(), version: upstream.version },
            health: health.clone(),
            request: probe::request(endpoint, health, &upstream.set_headers),
            standing: Arc::clone(&standing),
            passes: 0,
            fails: 0,
        };
        Self {
            upstream: Arc::clone(&upstream.id),
            name: Arc::clone(&endpoint.name),
            health: health.clone(),
            version: upstream.version,
            set_headers: upstream.set_headers.clone(),
            tls: upstream.tls_identity(),
            standing,
            task: tasks.spawn(checker.run()),
        }
    }

    /// Tells whether it goes on as it is under these upstreams, and ends it otherwise.
    fn goes_on(&self, upstreams: &[Arc<Upstream>], endpoints: &Endpoints) -> bool {
        let now = upstreams.iter().find(|upstream| upstream.id == self.upstream);
        let now = now.filter(|now| now.endpoints.iter().any(|of| of.name == self.name));
        let now = now.and_then(|now| Some((now, now.health.as_ref()?)));
        let Some((upstream, health)) = now else {
            self.task.abort();
            // Whoever has this address later begins well.
            self.standing.set_ill(false, Instant::now());
            endpoints.end_checks(&self.upstream, &self.name);
            return false;
        };
        let goes_on = *health == self.health
            && upstream.set_headers == self.set_headers
            && upstream.version == self.version
            && upstream.tls_identity() == self.tls;
        if !goes_on {
            self.task.abort();
        }
        goes_on
    }
}

/// Checks one endpoint again and again.
struct Checker {
    upstream: Arc<str>,
    endpoint: Endpoint,
    speech: Speech,
    health: Health,
    request: Vec<u8>,
    standing: Arc<Standing>,
    /// In succession.
    passes: u32,
    fails: u32,
}

impl Checker {
    /// Checks. It never ends by itself.
    async fn run(mut self) {
        let Health { interval, .. } = self.health;
        // All begin at once, and so may many gateways: each has a beat of its own.
        tokio::time::sleep(share(interval, 0.0, 0.1)).await;
        loop {
            let result =
                probe::ask(&self.endpoint, &self.speech, &self.health, &self.request).await;
            self.note(result);
            tokio::time::sleep(share(interval, 0.9, 0.2)).await;
        }
    }

    fn note(&mut self, result: Result<(), Failure>) {
        let Self { upstream, endpoint, health, standing, passes, fails, .. } = self;
        let (now, endpoint) = (Instant::now(), &endpoint.name);
        let Checks { passed, failed } = &standing.checks;
        match result {
            Ok(()) => {
                passed.fetch_add(1, Ordering::Relaxed);
                (*passes, *fails) = (passes.saturating_add(1), 0);
                if *passes >= health.passes && standing.set_ill(false, now) {
                    tracing::info!(%upstream, %endpoint, "endpoint passes its health checks again");
                }
            }
            Err(error) => {
                failed.fetch_add(1, Ordering::Relaxed);
                (*passes, *fails) = (0, fails.saturating_add(1));
                if *fails >= health.fails && standing.set_ill(true, now) {
                    tracing::warn!(%upstream, %endpoint, %error, "endpoint fails its health checks");
                }
            }
        }
    }
}

/// Gives a part of a time: at least the one share of it, and by chance up to the other share more.
fn share(time: Duration, least: f64, more: f64) -> Duration {
    let chance = getrandom::u32().map_or(0.5, |chance| f64::from(chance) / f64::from(u32::MAX));
    time.mul_f64(least + more * chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Address, Question};

    #[test]
    fn checks_spread() {
        let time = Duration::from_secs(10);
        for _ in 0..1000 {
            assert!(share(time, 0.0, 0.1) <= Duration::from_secs(1));
            let between = share(time, 0.9, 0.2);
            assert!((Duration::from_secs(9)..=Duration::from_secs(11)).contains(&between));
        }
    }

    #[tokio::test]
    async fn it_takes_some_in_succession_to_change_anything() {
        let standing = Arc::new(Standing::new(Instant::now()));
        let address = Address::Tcp { host: "h".into(), port: 80 };
        let mut checker = Checker {
            upstream: "u".into(),
            endpoint: Endpoint::new(address, HeaderValue::from_static("h")),
            speech: Speech { tls: None, version: HttpVersion::Http1 },
            health: Health {
                question: Question::Get { path: "/".into(), status: 200..=399 },
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(2),
                fails: 3,
                passes: 2,
            },
            request: Vec::new(),
            standing: Arc::clone(&standing),
            passes: 0,
            fails: 0,
        };
        let mut ill = |results: &str| {
            let note = |result: char| {
                checker.note(if result == '+' { Ok(()) } else { Err(Failure::Early) });
                if standing.is_ill() { '1' } else { '0' }
            };
            results.chars().map(note).collect::<String>()
        };
        assert_eq!(ill("--+--+"), "000000");
        assert_eq!(ill("---"), "001");
        assert_eq!(ill("-+-+-"), "11111");
        assert_eq!(ill("++"), "10");
        assert_eq!(ill("+--"), "000");
        let Checks { passed, failed } = &standing.checks;
        assert_eq!((passed.load(Ordering::Relaxed), failed.load(Ordering::Relaxed)), (7, 12));
    }
}
