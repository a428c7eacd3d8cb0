//! The access log: one line per request, written by a thread of its own.
//!
//! Nothing that could be a secret is in a line: no query, no body, no header field. Workers collect
//! lines and hand them over in batches; when the writer falls behind, lines are dropped and counted
//! rather than requests held up.

use std::{
    cell::{Cell, RefCell},
    fs::{File, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    rc::Rc,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{config::AccessLog, telemetry::figures::Count};

/// Batches that may wait for the writer.
const BATCHES_WAITING: usize = 64;

/// Lines that a worker collects at most before it hands them over.
const BATCH_LINES: usize = 256;

/// What is told about one request.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// When its head had come.
    pub time: Timestamp,
    /// The id that the answer, the upstream and the ledger share.
    pub request_id: Uuid,
    /// The client's address.
    pub client: IpAddr,
    /// The method.
    pub method: String,
    /// The path in normal form, or as it came when it has none; without the query.
    pub path: String,
    /// The route's name.
    pub route: Option<Arc<str>>,
    /// The customer's id.
    pub customer: Option<Arc<str>>,
    /// The application's name.
    pub application: Option<Arc<str>>,
    /// The key's id, never the key.
    pub key_id: Option<Arc<str>>,
    /// The plan's id.
    pub plan: Option<Arc<str>>,
    /// The answer's status; 0 when none was given.
    pub status: u16,
    /// The refusal's code.
    pub code: Option<&'static str>,
    /// The code that it would have been refused with, had the refusal not been overlooked.
    pub shadow: Option<&'static str>,
    /// How it ended; `None` for the gateway's own pages.
    pub ending: Option<&'static str>,
    /// Units charged.
    pub charged: u64,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the head of the request to the end of the answer, in milliseconds.
    pub duration_ms: f64,
}

/// How lines are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Readable by people, for the demo.
    Text,
}

/// What stands above lines written as [`Format::Text`].
pub const TEXT_HEADING: &str =
    "time       status  code or ending            customer   units       ms  request";

/// The way to the writer. `None` inside means that no log is kept.
#[derive(Clone, Debug)]
pub struct Sink(Option<SyncSender<Vec<Line>>>);

/// The writer's thread; joined after every sink is dropped.
#[derive(Debug)]
pub struct WriterThread(Option<JoinHandle<()>>);

/// Starts the writer.
pub fn start(log: &AccessLog, format: Format) -> io::Result<(Sink, WriterThread)> {
    let mut out: Box<dyn Write + Send> = match log {
        AccessLog::Off => return Ok((Sink(None), WriterThread(None))),
        AccessLog::Stdout => Box::new(io::stdout()),
        AccessLog::File(path) => Box::new(append(path)?),
    };
    let (sender, receiver) = sync_channel(BATCHES_WAITING);
    let run = move || write_all(&receiver, &mut out, format);
    let thread = std::thread::Builder::new().name("access-log".into()).spawn(run)?;
    Ok((Sink(Some(sender)), WriterThread(Some(thread))))
}

fn append(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_all(receiver: &Receiver<Vec<Line>>, out: &mut dyn Write, format: Format) {
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut failing = false;
    for batch in receiver {
        buffer.clear();
        batch.iter().for_each(|line| line.write(&mut buffer, format));
        let written = out.write_all(&buffer).and_then(|()| out.flush());
        if let (Err(error), false) = (&written, failing) {
            tracing::error!(%error, "access log cannot be written");
        }
        failing = written.is_err();
    }
}

impl Line {
    fn write(&self, buffer: &mut Vec<u8>, format: Format) {
        let before = buffer.len();
        let written = match format {
            Format::Json => serde_json::to_writer(&mut *buffer, self).map_err(io::Error::other),
            Format::Text => self.write_text(buffer),
        };
        if written.is_err() {
            buffer.truncate(before);
        } else {
            buffer.push(b'\n');
        }
    }

    fn write_text(&self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let clean = |text: &str| {
            text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>()
        };
        write!(
            buffer,
            "{}  {:<6}  {:<25} {:<10} {:>5} {:>8.1}  {} {}",
            self.time.strftime("%H:%M:%SZ"),
            self.status,
            self.code.or(self.ending).unwrap_or("own page"),
            self.customer.as_deref().unwrap_or("-"),
            self.charged,
            self.duration_ms,
            clean(&self.method),
            clean(&self.path),
        )
    }
}

impl WriterThread {
    /// Waits until everything is written; every sink must be gone by then.
    pub fn join(mut self) {
        if let Some(thread) = self.0.take() {
            // A panic of the writer was reported by its own thread.
            let _ = thread.join();
        }
    }
}

/// The lines that a worker has collected.
#[derive(Debug)]
pub struct Buffer {
    lines: RefCell<Vec<Line>>,
    /// Dropped and not told yet.
    dropped: Cell<u64>,
    dropped_ever: Arc<Count>,
    sink: Sink,
    wake: Rc<Notify>,
}

impl Buffer {
    /// Makes an empty buffer; `wake` is told when there is something to hand over.
    pub fn new(sink: Sink, wake: Rc<Notify>, dropped_ever: Arc<Count>) -> Self {
        Self { lines: RefCell::default(), dropped: Cell::new(0), dropped_ever, sink, wake }
    }

    /// Takes a line. It may be called from a drop: it writes nothing and waits for nobody.
    pub fn push(&self, line: Line) {
        if self.sink.0.is_none() {
            return;
        }
        let mut lines = self.lines.borrow_mut();
        lines.push(line);
        let full = lines.len() >= BATCH_LINES;
        drop(lines);
        if full {
            self.flush();
        } else {
            self.wake.notify_one();
        }
    }

    /// Hands over what was collected.
    pub fn flush(&self) {
        let lines = self.lines.take();
        let Some(sender) = self.sink.0.as_ref().filter(|_| !lines.is_empty()) else { return };
        match sender.try_send(lines) {
            Ok(()) => {
                let dropped = self.dropped.take();
                if dropped > 0 {
                    tracing::warn!(lines = dropped, "access log fell behind, lines were dropped");
                }
            }
            Err(TrySendError::Full(lines) | TrySendError::Disconnected(lines)) => {
                let count = u64::try_from(lines.len()).unwrap_or(u64::MAX);
                self.dropped.set(self.dropped.get().saturating_add(count));
                self.dropped_ever.add(count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            time: "2026-11-20T14:41:25.5Z".parse().unwrap(),
            request_id: Uuid::nil(),
            client: [192, 0, 2, 1].into(),
            method: "GET".into(),
            path: "/v1/stats".into(),
            route: Some("stats".into()),
            customer: Some("acme".into()),
            application: None,
            key_id: Some("acme-key".into()),
            plan: Some("starter".into()),
            status: 402,
            code: Some("plan_upgrade_required"),
            shadow: None,
            ending: Some("refused"),
            charged: 12,
            bytes: 80,
            duration_ms: 1202.125,
        }
    }

    fn text(line: &Line) -> String {
        let mut buffer = Vec::new();
        line.write(&mut buffer, Format::Text);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn text_stands_under_its_heading() {
        let text = text(&line());
        assert_eq!(
            text,
            "14:41:25Z  402     plan_upgrade_required     acme          12   1202.1  GET /v1/stats\n"
        );
        for (heading, value) in [("status", "402"), ("customer", "acme"), ("request", "GET")] {
            assert_eq!(TEXT_HEADING.find(heading), text.find(value), "{heading}");
        }
        for (heading, value) in [("units", "12"), ("ms", "1202.1")] {
            let end = |text: &str, word: &str| text.find(word).map(|start| start + word.len());
            assert_eq!(end(TEXT_HEADING, heading), end(&text, value), "{heading}");
        }
    }

    #[test]
    fn text_of_a_caller_cannot_move_the_cursor() {
        let path = "/\u{1b}[2J\n".into();
        let text = text(&Line { path, code: None, customer: None, ..line() });
        assert!(text.ends_with("  GET /?[2J?\n"), "{text:?}");
        assert!(text.contains("  refused                   -   "), "{text:?}");
    }
}
