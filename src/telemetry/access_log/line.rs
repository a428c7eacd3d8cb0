//! What a line of the access log says, and its two forms.
//!
//! Choice: JSON is written by hand (`json.rs`), because a worker does it for every request.

use std::{cell::Cell, io::Write, net::IpAddr, sync::Arc, time::Duration};

use http::HeaderValue;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{json, model::Money, telemetry::traces::context::TraceId};

/// What is told about one request.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// When its head had come.
    pub time: Timestamp,
    /// The id that the upstream, the ledger and, without another, the answer share.
    pub request_id: Uuid,
    /// The trace that it is recorded in.
    pub trace_id: Option<TraceId>,
    /// The id that a trusted proxy gave it; the caller is told this one.
    pub outward_id: Option<&'a HeaderValue>,
    /// The client's address, as far as trusted proxies tell it.
    pub client: IpAddr,
    /// The method.
    pub method: &'a str,
    /// The path in normal form, or as it came when it has none; without the query.
    pub path: &'a str,
    /// The route's name.
    pub route: Option<&'a Arc<str>>,
    /// The customer's id.
    pub customer: Option<&'a Arc<str>>,
    /// The application's name.
    pub application: Option<&'a Arc<str>>,
    /// The key's id, never the key.
    pub key_id: Option<&'a Arc<str>>,
    /// The plan's id.
    pub plan: Option<&'a Arc<str>>,
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
    /// Money charged.
    pub credit: Option<Money>,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the head of the request to the end of the answer.
    pub duration: Duration,
}

/// What stands above lines written as text.
pub const TEXT_HEADING: &str =
    "time       status  code or ending            customer   units       ms  request";

/// Writes times. Lines that follow each other share their second almost always.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// A second, and how it is written, without the `Z`.
    known: Cell<Option<(i64, [u8; SECOND_BYTES])>>,
}

/// The length of `2026-11-20T14:41:25`.
const SECOND_BYTES: usize = 19;

impl Clock {
    /// Writes an instant (RFC 3339), to the microsecond.
    fn push(&self, time: Timestamp, text: &mut Vec<u8>) {
        let second = time.as_second();
        let written = match self.known.get() {
            Some((known, written)) if known == second => written,
            _ => {
                let mut second_text = Vec::with_capacity(SECOND_BYTES);
                json::push_second(time, &mut second_text);
                // A year of more digits is shown by no clock.
                let written = second_text.first_chunk().copied().unwrap_or([b'?'; SECOND_BYTES]);
                self.known.set(Some((second, written)));
                written
            }
        };
        text.extend_from_slice(&written);
        let micros = time.subsec_microsecond().unsigned_abs();
        if micros > 0 {
            text.push(b'.');
            json::push_digits(micros, 6, text);
        }
        text.push(b'Z');
    }
}

impl Line<'_> {
    /// Writes it as one JSON object.
    pub(super) fn push_json(&self, clock: &Clock, text: &mut Vec<u8>) {
        text.extend_from_slice(b"{\"time\":\"");
        clock.push(self.time, text);
        text.extend_from_slice(b"\",\"request_id\":\"");
        let mut id = Uuid::encode_buffer();
        text.extend_from_slice(self.request_id.hyphenated().encode_lower(&mut id).as_bytes());
        if let Some(trace_id) = self.trace_id {
            let _ = write!(text, "\",\"trace_id\":\"{trace_id}");
        }
        text.extend_from_slice(b"\",\"client\":\"");
        push_address(self.client, text);
        text.extend_from_slice(b"\",\"method\":");
        json::push_string(self.method, text);
        text.extend_from_slice(b",\"path\":");
        json::push_string(self.path, text);
        if let Some(id) = self.outward_id.and_then(|id| id.to_str().ok()) {
            text.extend_from_slice(b",\"x_request_id\":");
            json::push_string(id, text);
        }
        push_member(",\"route\":", self.route, text);
        push_member(",\"customer\":", self.customer, text);
        push_member(",\"application\":", self.application, text);
        push_member(",\"key_id\":", self.key_id, text);
        push_member(",\"plan\":", self.plan, text);
        json::push_number(",\"status\":", self.status.into(), text);
        push_word(",\"code\":", self.code, text);
        push_word(",\"shadow\":", self.shadow, text);
        push_word(",\"ending\":", self.ending, text);
        json::push_number(",\"charged\":", self.charged, text);
        if let Some(credit) = self.credit {
            let _ = write!(text, ",\"credit\":\"{credit}\"");
        }
        json::push_number(",\"bytes\":", self.bytes, text);
        // In whole microseconds: more digits would only seem exact.
        let micros = self.duration.as_micros();
        let whole = u64::try_from(micros / 1000).unwrap_or(u64::MAX);
        json::push_number(",\"duration_ms\":", whole, text);
        text.push(b'.');
        json::push_digits(u32::try_from(micros % 1000).unwrap_or_default(), 3, text);
        text.extend_from_slice(b"}\n");
    }

    /// Writes it for people.
    pub(super) fn push_text(&self, text: &mut Vec<u8>) {
        let clean = |text: &str| {
            text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>()
        };
        // Writing to memory does not fail.
        let _ = writeln!(
            text,
            "{}  {:<6}  {:<25} {:<10} {:>5} {:>8.1}  {} {}",
            self.time.strftime("%H:%M:%SZ"),
            self.status,
            self.code.or(self.ending).unwrap_or("own page"),
            self.customer.map_or("-", |customer| customer),
            self.charged,
            self.duration.as_secs_f64() * 1e3,
            clean(self.method),
            clean(self.path),
        );
    }
}

fn push_address(address: IpAddr, text: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    text.push(b'.');
                }
                text.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        // Writing to memory does not fail.
        IpAddr::V6(address) => drop(write!(text, "{address}")),
    }
}

/// Writes a member whose value is a text of others, or null.
fn push_member(name: &str, value: Option<&Arc<str>>, text: &mut Vec<u8>) {
    text.extend_from_slice(name.as_bytes());
    match value {
        None => text.extend_from_slice(b"null"),
        Some(value) => json::push_string(value, text),
    }
}

/// Writes a member whose value is a word of ours, or null.
fn push_word(name: &str, value: Option<&'static str>, text: &mut Vec<u8>) {
    text.extend_from_slice(name.as_bytes());
    match value {
        None => text.extend_from_slice(b"null"),
        Some(word) => json::push_quoted(word, text),
    }
}

#[cfg(test)]
mod tests;
