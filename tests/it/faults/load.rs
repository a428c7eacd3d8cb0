//! Callers who ask without a pause, and what each of them got and when.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::time::Instant;

use super::scene::KEY;
use crate::{process::Client, support::wait_for};

/// Callers of counted routes; one more asks a public one.
pub(super) const CALLERS: u64 = 6;

/// Between an answer and the next question of a caller.
const PAUSE: Duration = Duration::from_millis(2);

/// So many answers in a row without a refusal mean that a fault is over.
const SERVED_AGAIN: usize = 60;

/// What one question came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Got {
    /// What the upstream answered on a counted route.
    Served,
    /// 503 `quota_unavailable`.
    Unavailable,
    /// What the upstream answered on a public route.
    Open,
    /// The connection was refused or cut.
    Broken,
    /// Anything else.
    Wrong(u16),
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// When the answer was there.
    pub(super) at: Instant,
    /// How long it took.
    pub(super) took: Duration,
    pub(super) got: Got,
}

/// Callers at work. They end when it is dropped.
pub(super) struct Load {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts callers; every fourth question of theirs fails at the upstream and is given back.
    pub(super) fn start(address: SocketAddr) -> Self {
        Self::start_with(address, 4)
    }

    /// Starts callers before an upstream that never fails.
    pub(super) fn start_without_failures(address: SocketAddr) -> Self {
        Self::start_with(address, u64::MAX)
    }

    fn start_with(address: SocketAddr, period: u64) -> Self {
        let mut load =
            Self { address, seen: Arc::default(), stop: Arc::default(), callers: Vec::new() };
        for _ in 0..CALLERS {
            load.add("/paid/x", Got::Served, period);
        }
        load.add("/open/x", Got::Open, u64::MAX);
        load.wait_served_again();
        load
    }

    fn add(&mut self, path: &'static str, good: Got, period: u64) {
        let (address, seen, stop) = (self.address, Arc::clone(&self.seen), Arc::clone(&self.stop));
        let ask = move || {
            let mut client = None;
            for call in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let fails = call % period == period - 1;
                let path = if fails { "/paid/fail" } else { path };
                let expected = if fails { 500 } else { 200 };
                let began = Instant::now();
                let got = match ask(&mut client, address, path) {
                    Ok((status, _)) if status == expected => good,
                    Ok((503, body)) if body.contains("quota_unavailable") => Got::Unavailable,
                    Ok((status, _)) => Got::Wrong(status),
                    Err(_) => Got::Broken,
                };
                if got == Got::Broken {
                    client = None;
                }
                let at = Instant::now();
                seen.lock().unwrap().push(Seen { at, took: at - began, got });
                std::thread::sleep(PAUSE);
            }
        };
        self.callers.push(std::thread::spawn(ask));
    }

    /// Gives what was answered since an instant.
    pub(super) fn since(&self, instant: Instant) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.at > instant).copied().collect()
    }

    /// Waits for a refusal after an instant; gives how long it took to come.
    pub(super) fn wait_unavailable(&self, since: Instant) -> Duration {
        wait_for("503 quota_unavailable", || first_unavailable(&self.since(since), since))
    }

    /// Waits until callers of counted routes are served again and again from now on.
    pub(super) fn wait_served_again(&self) {
        let from = self.seen.lock().unwrap().len();
        wait_for("being served again", || {
            let seen = self.seen.lock().unwrap();
            let paid = seen[from..].iter().rev().filter(|seen| seen.got != Got::Open);
            let served = paid.take_while(|seen| seen.got == Got::Served).count();
            (served >= SERVED_AGAIN).then_some(())
        });
    }

    /// Ends the callers when their last answers are there; gives all they got.
    pub(super) fn stop(mut self) -> Vec<Seen> {
        self.end();
        self.seen.lock().unwrap().clone()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.callers.drain(..).for_each(|caller| caller.join().unwrap());
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn ask(
    client: &mut Option<Client>,
    address: SocketAddr,
    path: &str,
) -> std::io::Result<(u16, String)> {
    let client = match client {
        Some(client) => client,
        None => client.insert(Client::connect(address)?),
    };
    client.ask(path, KEY)
}

/// Gives how long after an instant the first refusal came.
pub(super) fn first_unavailable(seen: &[Seen], since: Instant) -> Option<Duration> {
    let refused = seen.iter().filter(|seen| seen.got == Got::Unavailable && seen.at > since);
    refused.map(|seen| seen.at - since).min()
}

/// Gives how long after an instant the last refusal came; zero when none did.
pub(super) fn last_unavailable(seen: &[Seen], since: Instant) -> Duration {
    let refused = seen.iter().filter(|seen| seen.got == Got::Unavailable && seen.at > since);
    refused.map(|seen| seen.at - since).max().unwrap_or_default()
}

/// Counts what came to something.
pub(super) fn count(seen: &[Seen], got: Got) -> usize {
    seen.iter().filter(|seen| seen.got == got).count()
}

/// Gives the longest that an answer took.
pub(super) fn slowest(seen: &[Seen]) -> Duration {
    seen.iter().map(|seen| seen.took).max().unwrap_or_default()
}

/// Asserts that nobody got anything but what the upstream answered and, on counted routes, 503
/// `quota_unavailable`.
pub(super) fn assert_fair(seen: &[Seen]) {
    let wrong = |seen: &&Seen| matches!(seen.got, Got::Broken | Got::Wrong(_));
    assert!(seen.iter().find(wrong).is_none(), "{:?}", seen.iter().find(wrong));
}
