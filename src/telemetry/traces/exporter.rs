//! The thread that sends spans to the collector.
//!
//! It holds nobody up: what the workers hand over waits in a bounded queue while a message is on its
//! way, and what finds the queue full is dropped and counted. Where to send, and whether, is asked of
//! the configuration in force for each message, so that a reload changes all of it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use tokio::{
    sync::{Notify, mpsc::Receiver, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{Record, Traces, otlp};
use crate::{
    gateway::Gateway,
    outgoing::{self, Client, Roots, SystemResolver, Timing, retry_after},
    telemetry::batch::{self, Sink},
};

/// How long the first request of a message waits for others.
const DELAY: Duration = Duration::from_secs(1);

/// How many requests a worker collects at most before it hands them over.
const BATCH_RECORDS: usize = 256;

/// The most requests in one message.
const MESSAGE_RECORDS: usize = 512;

/// The most requests that wait while a message is on its way.
const QUEUE_RECORDS: usize = 16_384;

/// How long one message is tried; the wait after its first failure, which then doubles; the longest
/// wait, also when the collector asks for a longer one.
const GIVE_UP: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How long a stop waits for what is collected, and how soon it tries again.
const STOP: Duration = Duration::from_secs(2);
const STOP_WAIT: Duration = Duration::from_millis(200);

/// How many spans went where. The numbers only grow.
#[derive(Debug, Default)]
pub struct Counters {
    /// Taken by the collector.
    pub sent: AtomicU64,
    /// Refused by it.
    pub refused: AtomicU64,
    /// Never sent: there was no room, or the collector could not be reached in time.
    pub dropped: Arc<AtomicU64>,
}

/// The thread; it ends after every sink is dropped, and within two seconds.
#[derive(Debug)]
pub struct Exporter(JoinHandle<()>);

/// Starts the thread. It does nothing until a request is sampled.
pub fn start(gateway: Arc<Gateway>) -> io::Result<(Sink<Record>, Exporter)> {
    let counters = Arc::clone(gateway.span_counters());
    let (sink, receiver) =
        batch::sink("traces", BATCH_RECORDS, Arc::clone(&counters.dropped), spans);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        runtime.block_on(Sending::new(gateway, counters).run(receiver));
        // A look-up that hangs must not hold up the stop.
        runtime.shutdown_background();
    };
    let thread = std::thread::Builder::new().name("traces".into()).spawn(run)?;
    Ok((sink, Exporter(thread)))
}

impl Exporter {
    /// Waits until what was collected is sent or given up; every sink must be gone by then.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the thread of traces ended by a panic");
        }
    }
}

/// Counts the spans that a batch becomes.
fn spans(records: &[Record]) -> u64 {
    records.iter().map(Record::spans).sum()
}

/// What the two halves share: the one that takes, and the one that sends.
struct Sending {
    gateway: Arc<Gateway>,
    counters: Arc<Counters>,
    queue: RefCell<VecDeque<Record>>,
    /// Told when the queue has changed.
    changed: Notify,
    /// When all must be over; set once nothing more comes.
    end: watch::Sender<Option<Instant>>,
    /// Spans of the message that is on its way.
    on_its_way: Cell<u64>,
    /// What went wrong last is told when it begins and when it is over.
    failing: Cell<bool>,
    refusing: Cell<bool>,
}

/// What came of one attempt.
enum Attempt {
    /// The collector took the message, but for so many spans.
    Taken { refused: u64 },
    /// It will never take it.
    Refused(StatusCode),
    /// It may take it later.
    Later { reason: String, asked: Option<Duration> },
}

impl Sending {
    fn new(gateway: Arc<Gateway>, counters: Arc<Counters>) -> Self {
        Self {
            gateway,
            counters,
            queue: RefCell::default(),
            changed: Notify::new(),
            end: watch::Sender::new(None),
            on_its_way: Cell::new(0),
            failing: Cell::new(false),
            refusing: Cell::new(false),
        }
    }

    async fn run(self, receiver: Receiver<Vec<Record>>) {
        let both = async { tokio::join!(self.take(receiver), self.send_all()) };
        tokio::select! {
            _ = both => {}
            () = self.over() => {}
        }
        let left = self.queue.take().iter().map(Record::spans).sum::<u64>();
        let left = left + self.on_its_way.take();
        if left > 0 {
            self.drop_spans(left);
            tracing::warn!(spans = left, "stopped before every span was sent");
        }
    }

    /// Takes what workers hand over, until they are gone.
    async fn take(&self, mut receiver: Receiver<Vec<Record>>) {
        let mut overflowing = false;
        while let Some(batch) = receiver.recv().await {
            let mut queue = self.queue.borrow_mut();
            let room = QUEUE_RECORDS.saturating_sub(queue.len());
            let mut batch = batch.into_iter();
            queue.extend(batch.by_ref().take(room));
            drop(queue);
            let dropped: u64 = batch.map(|record| record.spans()).sum();
            self.drop_spans(dropped);
            if dropped > 0 && !overflowing {
                tracing::warn!("the collector is too slow, spans are dropped");
            }
            overflowing = dropped > 0;
            self.changed.notify_one();
        }
        self.end.send_replace(Some(Instant::now() + STOP));
        self.changed.notify_one();
    }

    /// Sends message after message, until everything is sent and nothing more comes.
    async fn send_all(&self) {
        let mut client = None;
        loop {
            let is_last = self.end.borrow().is_some();
            let records = self.collect().await;
            if records.is_empty() {
                if is_last {
                    return;
                }
                continue;
            }
            let spans = records.iter().map(Record::spans).sum();
            self.on_its_way.set(spans);
            // Sampled under a configuration that had a collector.
            match self.gateway.snapshot().traces.clone() {
                Some(traces) => {
                    let body = Bytes::from(otlp::request(&traces.service, &records));
                    drop(records);
                    self.deliver(&mut client, &traces, body, spans).await;
                }
                None => self.drop_spans(spans),
            }
            self.on_its_way.set(0);
        }
    }

    /// Waits for the next message's records; none means that there may be no more.
    async fn collect(&self) -> Vec<Record> {
        let is_ready =
            || self.end.borrow().is_some() || self.queue.borrow().len() >= MESSAGE_RECORDS;
        while self.queue.borrow().is_empty() && !is_ready() {
            self.changed.notified().await;
        }
        let mut delay = std::pin::pin!(sleep(DELAY));
        while !is_ready() {
            tokio::select! {
                () = &mut delay => break,
                () = self.changed.notified() => {}
            }
        }
        let mut queue = self.queue.borrow_mut();
        let count = queue.len().min(MESSAGE_RECORDS);
        queue.drain(..count).collect()
    }

    /// Sends one message, again and again where that may help.
    async fn deliver(&self, client: &mut Option<Client>, traces: &Traces, body: Bytes, spans: u64) {
        let begun = Instant::now();
        let mut wait = WAIT;
        loop {
            match self.attempt(client, traces, body.clone()).await {
                Attempt::Taken { refused } => {
                    let refused = refused.min(spans);
                    self.counters.sent.fetch_add(spans - refused, Ordering::Relaxed);
                    return self.told(refused, None);
                }
                Attempt::Refused(status) => return self.told(spans, Some(status)),
                Attempt::Later { reason, asked } => {
                    if !self.failing.replace(true) {
                        let endpoint = traces.endpoint.origin();
                        tracing::warn!(%endpoint, reason, "spans cannot be sent, trying again");
                    }
                    self.pause(wait.max(asked.unwrap_or_default()).min(WAIT_MAX)).await;
                    wait *= 2;
                }
            }
            if begun.elapsed() >= GIVE_UP {
                return self.drop_spans(spans);
            }
        }
    }

    async fn attempt(&self, client: &mut Option<Client>, traces: &Traces, body: Bytes) -> Attempt {
        let later = |reason| Attempt::Later { reason, asked: None };
        // Made at the first use: it reads the system's certificates.
        let client = match client {
            Some(client) => client,
            None => {
                let timing =
                    Timing { open: Duration::from_secs(5), whole: Duration::from_secs(10) };
                match Client::new(Arc::new(SystemResolver), Roots::System, timing) {
                    Ok(made) => client.insert(made),
                    Err(error) => return later(error.to_string()),
                }
            }
        };
        let mut request = outgoing::request(&traces.endpoint);
        for (name, value) in &traces.headers {
            request = request.header(name, value);
        }
        let kind = HeaderValue::from_static("application/x-protobuf");
        let request: Request<_> = match request.header(CONTENT_TYPE, kind).body(Full::new(body)) {
            Ok(request) => request,
            Err(error) => return later(error.to_string()),
        };
        let answer = match client.send(&traces.endpoint, request).await {
            Ok(answer) => answer,
            Err(fault) => return later(fault.to_string()),
        };
        match answer.status {
            status if status.is_success() => {
                Attempt::Taken { refused: otlp::rejected(&answer.body) }
            }
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Attempt::Later {
                reason: format!("the collector answered {}", answer.status.as_u16()),
                asked: retry_after::parse(&answer.headers, self.gateway.clock().now()),
            },
            status => Attempt::Refused(status),
        }
    }

    /// Counts what the collector refused, and tells how it goes when that has changed. Its own words
    /// are not repeated: nobody knows what is in them.
    fn told(&self, refused: u64, status: Option<StatusCode>) {
        if self.failing.replace(false) {
            tracing::info!("spans can be sent again");
        }
        self.counters.refused.fetch_add(refused, Ordering::Relaxed);
        if refused > 0 && !self.refusing.replace(true) {
            let status = status.map(|status| status.as_u16());
            tracing::error!(status, spans = refused, "the collector refuses spans");
        }
        if refused == 0 && self.refusing.replace(false) {
            tracing::info!("the collector takes spans again");
        }
    }

    fn drop_spans(&self, spans: u64) {
        self.counters.dropped.fetch_add(spans, Ordering::Relaxed);
    }

    /// Waits before another attempt, up to a tenth longer so that gateways do not return together. In
    /// a stop there is little time, and a wait that has begun ends with it.
    async fn pause(&self, wait: Duration) {
        let mut random = [0];
        // Without random numbers it waits as planned.
        let _ = getrandom::fill(&mut random);
        let [random] = random.map(u32::from);
        let jitter = wait / 10 * random / 255;
        let mut end = self.end.subscribe();
        if end.borrow().is_some() {
            return sleep(wait.min(STOP_WAIT)).await;
        }
        tokio::select! {
            () = sleep(wait + jitter) => {}
            _ = end.wait_for(Option::is_some) => {}
        }
    }

    /// Ends when the time of a stop is over.
    async fn over(&self) {
        let mut end = self.end.subscribe();
        let deadline = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, config::Loaded, ledger::Ledger, telemetry::traces::record};

    fn sending() -> Sending {
        let text = "[server]\nlisten = \"127.0.0.1:0\"\n[upstreams.a]\nurl = \"http://127.0.0.1:9\"\n\
                    [[routes]]\npath = \"/\"\nupstream = \"a\"\n";
        let config = Loaded::parse(text, std::path::Path::new("faregate.toml")).into_config();
        let now = jiff::Timestamp::UNIX_EPOCH;
        let (ledger, clock) = (Ledger::new(now), Arc::new(Clock::manual(now)));
        let gateway = Arc::new(Gateway::new(&config.unwrap(), None, ledger, clock));
        let counters = Arc::clone(gateway.span_counters());
        Sending::new(gateway, counters)
    }

    /// While nothing can be sent, what waits is bounded, and the rest is counted.
    #[tokio::test(start_paused = true)]
    async fn queue_is_bounded() {
        let sending = sending();
        let (batches, receiver) = tokio::sync::mpsc::channel(1);
        let filling = async {
            for _ in 0..70 {
                let batch = (0..BATCH_RECORDS).map(|_| record::sample()).collect();
                batches.send(batch).await.unwrap();
            }
            drop(batches);
        };
        tokio::join!(sending.take(receiver), filling);
        let all = 70 * BATCH_RECORDS;
        assert_eq!(sending.queue.borrow().len(), QUEUE_RECORDS);
        let dropped = sending.counters.dropped.load(Ordering::Relaxed);
        assert_eq!(usize::try_from(dropped).unwrap(), all - QUEUE_RECORDS);
        // Without a collector any more, all of it is dropped, and the thread ends.
        sending.send_all().await;
        let dropped = sending.counters.dropped.load(Ordering::Relaxed);
        assert_eq!(usize::try_from(dropped).unwrap(), all);
    }

    /// A stop ends a wait at once, and all after two seconds.
    #[tokio::test(start_paused = true)]
    async fn stop_ends_waits() {
        let sending = sending();
        let begun = Instant::now();
        let stop = async {
            sleep(Duration::from_secs(3)).await;
            sending.end.send_replace(Some(Instant::now() + STOP));
        };
        tokio::join!(sending.pause(WAIT_MAX), stop);
        assert_eq!(begun.elapsed().as_secs(), 3);
        sending.pause(WAIT_MAX).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3) + STOP_WAIT);
        sending.over().await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }
}
