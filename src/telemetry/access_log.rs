//! The access log: one line per request, written by a thread of its own.
//!
//! Nothing that could be a secret is in a line: no query, no body, no header field.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    thread::JoinHandle,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc::Receiver;
use uuid::Uuid;

use crate::{
    config::AccessLog,
    telemetry::{
        batch::{self, Sink},
        traces::context::TraceId,
    },
};

/// What is told about one request.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// When its head had come.
    pub time: Timestamp,
    /// The id that the answer, the upstream and the ledger share.
    pub request_id: Uuid,
    /// The trace that it is recorded in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
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

/// The access log of a running gateway. Its thread is joined after every sink is dropped.
#[derive(Debug)]
pub struct Writer {
    thread: Option<JoinHandle<()>>,
    /// Where lines are written, when that is a file.
    file: Option<Arc<Reopened>>,
    /// Lines that were dropped.
    dropped: Arc<AtomicU64>,
}

/// A file that can be opened anew while it is written. A batch is written under the lock, so it is
/// whole in the file before or in the one after.
#[derive(Debug)]
struct Reopened {
    path: PathBuf,
    file: Mutex<File>,
}

/// Starts the writer. Without a sink no log is kept.
pub fn start(log: &AccessLog, format: Format) -> io::Result<(Option<Sink<Line>>, Writer)> {
    let dropped = Arc::default();
    let file = match log {
        AccessLog::Off => return Ok((None, Writer { thread: None, file: None, dropped })),
        AccessLog::Stdout => None,
        AccessLog::File(path) => {
            let file = Mutex::new(append(path)?);
            Some(Arc::new(Reopened { path: path.clone(), file }))
        }
    };
    let (sink, receiver) = batch::sink("access log", Arc::clone(&dropped), |_: &Line| 1);
    let out = file.clone();
    let run = move || write_all(receiver, out.as_deref(), format);
    let thread = std::thread::Builder::new().name("access-log".into()).spawn(run)?;
    Ok((Some(sink), Writer { thread: Some(thread), file, dropped }))
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn write_all(mut receiver: Receiver<Vec<Line>>, file: Option<&Reopened>, format: Format) {
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut failing = false;
    while let Some(batch) = receiver.blocking_recv() {
        buffer.clear();
        batch.iter().for_each(|line| line.write(&mut buffer, format));
        let written = match file {
            Some(file) => file.lock().write_all(&buffer),
            None => io::stdout().write_all(&buffer).and_then(|()| io::stdout().flush()),
        };
        if let (Err(error), false) = (&written, failing) {
            tracing::error!(%error, "access log cannot be written");
        }
        failing = written.is_err();
    }
}

impl Reopened {
    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Writer {
    /// Opens the file anew under its name: what is written from the return on is in the new one. One
    /// that cannot be opened leaves the old one in use.
    pub fn reopen(&self) {
        let Some(file) = &self.file else { return };
        let path = file.path.display();
        match append(&file.path) {
            Ok(opened) => {
                *file.lock() = opened;
                tracing::info!(%path, "access log opened anew");
            }
            Err(error) => {
                tracing::error!(%path, %error, "access log cannot be opened anew, the old file is kept");
            }
        }
    }

    /// Gives the number of lines that were dropped.
    pub fn dropped(&self) -> &Arc<AtomicU64> {
        &self.dropped
    }

    /// Waits until everything is written; every sink must be gone by then.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was reported by its own thread.
            let _ = thread.join();
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
            trace_id: None,
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
