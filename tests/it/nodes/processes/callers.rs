//! Callers on all nodes, and what each of them got, when, and where.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::time::Instant;

use super::rig::Rig;
use crate::{
    process::{Answer, Client},
    support::wait_for,
};

/// Before another attempt of who was not served.
const PAUSE: Duration = Duration::from_millis(10);

/// When a caller ends by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ends {
    /// With the first 402.
    Refused,
    /// Only when it is told to.
    Told,
}

/// What one question came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Got {
    /// The connection was refused or cut.
    Broken,
    /// 429 `balance_in_flight`.
    InFlight,
    /// 402 `quota_exceeded` or `insufficient_credits`.
    Refused,
    /// What the upstream answered.
    Served,
    /// 503 `quota_unavailable`, with when to come again.
    Unavailable,
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
    /// Which node was asked.
    pub(super) node: usize,
    pub(super) got: Got,
    /// What the upstream had received by then.
    pub(super) received: u64,
}

/// Callers at work. They end when it is dropped.
pub(super) struct Callers {
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    /// Between two questions of a caller, in milliseconds.
    pause_ms: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

/// One of them.
struct Caller {
    node: usize,
    address: SocketAddr,
    path: &'static str,
    key: String,
    ends: Ends,
    received: Arc<AtomicU64>,
    client: Option<Client>,
}

impl Callers {
    /// Starts so many on each node, who ask for a path with a key.
    pub(super) fn start(
        rig: &Rig,
        connections: usize,
        path: &'static str,
        key: &str,
        ends: Ends,
    ) -> Self {
        let mut callers = Self {
            seen: Arc::default(),
            stop: Arc::default(),
            pause_ms: Arc::default(),
            threads: Vec::new(),
        };
        for (node, address) in rig.addresses().into_iter().enumerate() {
            for _ in 0..connections {
                let (key, received) = (key.to_owned(), rig.upstream.counter());
                callers.add(Caller { node, address, path, key, ends, received, client: None });
            }
        }
        callers
    }

    fn add(&mut self, mut caller: Caller) {
        let (seen, stop) = (Arc::clone(&self.seen), Arc::clone(&self.stop));
        let pause_ms = Arc::clone(&self.pause_ms);
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let one = caller.ask();
                seen.lock().unwrap().push(one);
                // What nobody should get is told once.
                let is_wrong = matches!(one.got, Got::Wrong(_));
                if is_wrong || (one.got == Got::Refused && caller.ends == Ends::Refused) {
                    return;
                }
                let pause = Duration::from_millis(pause_ms.load(Ordering::Relaxed));
                thread::sleep(if one.got == Got::Served { pause } else { pause.max(PAUSE) });
            }
        }));
    }

    /// Lets each of them wait between its questions from now on.
    pub(super) fn set_pause(&self, pause: Duration) {
        self.pause_ms.store(pause.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }

    /// Gives what was answered since an instant.
    pub(super) fn since(&self, instant: Instant) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.at > instant).copied().collect()
    }

    /// Waits until nodes give this and nothing else, to many questions.
    pub(super) fn wait_only(&self, got: Got, nodes: &[usize]) {
        self.wait_either(&[got], nodes);
    }

    /// Waits until nodes give nothing but these, to many questions.
    pub(super) fn wait_either(&self, answers: &[Got], nodes: &[usize]) {
        wait_for(&format!("nothing but {answers:?}"), || {
            let seen = self.since(Instant::now() - Duration::from_millis(400));
            nodes
                .iter()
                .all(|node| {
                    let mut of_node = seen.iter().filter(|seen| seen.node == *node);
                    of_node.clone().count() > 3 && of_node.all(|seen| answers.contains(&seen.got))
                })
                .then_some(())
        });
    }

    /// Waits until all have ended by themselves; gives all they got.
    pub(super) fn join(mut self) -> Vec<Seen> {
        self.end();
        self.seen.lock().unwrap().clone()
    }

    /// Ends them when their last answers are there; gives all they got.
    pub(super) fn stop(self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    fn end(&mut self) {
        self.threads.drain(..).for_each(|caller| caller.join().unwrap());
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Caller {
    fn ask(&mut self) -> Seen {
        let began = Instant::now();
        let got = match self.try_ask() {
            Ok(answer) => Got::from(&answer),
            Err(_) => Got::Broken,
        };
        if got == Got::Broken {
            self.client = None;
        }
        let (at, received) = (Instant::now(), self.received.load(Ordering::SeqCst));
        Seen { at, took: at - began, node: self.node, got, received }
    }

    fn try_ask(&mut self) -> std::io::Result<Answer> {
        let client = match &mut self.client {
            Some(client) => client,
            None => self.client.insert(Client::connect(self.address)?),
        };
        client.ask_whole(self.path, &self.key)
    }
}

impl From<&Answer> for Got {
    fn from(answer: &Answer) -> Self {
        let Answer { status, retry_after, body } = answer;
        match status {
            200 => Self::Served,
            402 if body.contains("\"quota_exceeded\"")
                || body.contains("\"insufficient_credits\"") =>
            {
                Self::Refused
            }
            429 if body.contains("\"balance_in_flight\"") && retry_after.is_some() => {
                Self::InFlight
            }
            503 if body.contains("\"quota_unavailable\"") && retry_after.is_some() => {
                Self::Unavailable
            }
            _ => Self::Wrong(*status),
        }
    }
}

/// Counts what came to something.
pub(super) fn count(seen: &[Seen], got: Got) -> u64 {
    u64::try_from(seen.iter().filter(|seen| seen.got == got).count()).unwrap()
}

/// Asserts that nobody got anything but these.
pub(super) fn assert_only(seen: &[Seen], permitted: &[Got]) {
    let wrong = seen.iter().find(|seen| !permitted.contains(&seen.got));
    assert!(wrong.is_none(), "{wrong:?}");
}

/// Gives the longest time between two answers of a node that were served, between two instants.
pub(super) fn longest_gap(seen: &[Seen], node: usize, from: Instant, to: Instant) -> Duration {
    let of_node = seen.iter().filter(|seen| seen.node == node && seen.got == Got::Served);
    let mut times: Vec<_> =
        of_node.map(|seen| seen.at).filter(|at| (from..to).contains(at)).collect();
    times.extend([from, to]);
    times.sort();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

/// Gives the median and the 99th percentile of times.
pub(super) fn median_and_99(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Gives how long after an instant something was last answered; zero when it was not.
pub(super) fn last(seen: &[Seen], got: Got, since: Instant) -> Duration {
    let times = seen.iter().filter(|seen| seen.got == got && seen.at > since);
    times.map(|seen| seen.at - since).max().unwrap_or_default()
}
