//! What is written about a request at its end. The other half, which reads it, is `record.rs`.

use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use uuid::Uuid;

use super::wire::{put_money, put_number, put_optional};
use crate::{answer::Ending, model::Money};

/// What is told about a request at its end. It has no path, no address, no header and no key.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: Uuid,
    /// When its head had come. Of it the part below a millisecond is written: the id has the rest.
    pub at: Timestamp,
    /// The method, if it could be read.
    pub method: Option<&'a Method>,
    /// The route's number in the process; 0 for none.
    pub route: u64,
    /// The caller's number in the process; 0 for none.
    pub caller: u64,
    /// The answer's status; 0 when none was given.
    pub status: u16,
    /// The code that it was refused with.
    pub code: Option<&'static str>,
    /// The code of the refusal that was overlooked.
    pub shadow: Option<&'static str>,
    /// How it ended; `None` for the gateway's own pages.
    pub ending: Option<Ending>,
    /// Units charged.
    pub charged: u64,
    /// Money charged.
    pub credit: Option<Money>,
    /// From the head of the request to the end of the answer.
    pub duration: Duration,
    /// What a [`super::Trail`] took down; empty when it did not come so far.
    pub decided: &'a [u8],
}

/// The methods that have a number, from 1. Others are told as none: their names are the client's.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

impl Entry<'_> {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let Self {
            id,
            at,
            method,
            route,
            caller,
            status,
            code,
            shadow,
            ending,
            charged,
            credit,
            duration,
            decided,
        } = self;
        out.extend_from_slice(id.as_bytes());
        let micros = at.subsec_microsecond().unsigned_abs() % 1_000;
        put_number(u64::from(micros), out);
        out.push(method.map_or(0, method_number));
        out.push(ending.map_or(0, ending_number));
        out.extend_from_slice(&status.to_le_bytes());
        put_number(*route, out);
        put_number(*caller, out);
        put_number(*charged, out);
        put_number(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), out);
        out.push(u8::from(credit.is_some()));
        if let Some(money) = credit {
            put_money(*money, out);
        }
        put_optional(*code, out);
        put_optional(*shadow, out);
        out.extend_from_slice(decided);
    }
}

fn method_number(method: &Method) -> u8 {
    let place = METHODS.iter().position(|known| known == method);
    place.and_then(|place| u8::try_from(place.saturating_add(1)).ok()).unwrap_or(0)
}

/// Gives the method of a number, if it is known.
pub(super) fn method(number: u8) -> Option<Method> {
    METHODS.get(usize::from(number).checked_sub(1)?).cloned()
}

/// The numbers stand in files, so they stay when an ending is added.
fn ending_number(ending: Ending) -> u8 {
    match ending {
        Ending::Refused => 1,
        Ending::Unsent => 2,
        Ending::Failed => 3,
        Ending::Abandoned => 4,
        Ending::Uncharged => 5,
        Ending::Completed => 6,
        Ending::Truncated => 7,
        Ending::Aborted => 8,
        Ending::Expired => 9,
        Ending::FaultedBeforeHead => 10,
        Ending::FaultedAfterHead => 11,
        Ending::Unknown => 12,
    }
}

/// Gives the ending of a number; the outer `None` for a number that no ending has.
pub(super) fn ending(number: u8) -> Option<Option<Ending>> {
    if number == 0 {
        return Some(None);
    }
    Ending::ALL.into_iter().find(|ending| ending_number(*ending) == number).map(Some)
}
