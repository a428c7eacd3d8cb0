//! A request as it is read: what `entry.rs` wrote, with what its numbers stand for.

use std::{sync::Arc, time::Duration};

use http::Method;
use jiff::Timestamp;
use uuid::Uuid;

use super::{CallerFacts, Decided, RouteFacts, entry, wire::Bytes};
use crate::{answer::Ending, model::Money};

/// What is known of a request that is over.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its id.
    pub id: Uuid,
    /// When its head had come.
    pub at: Timestamp,
    /// The method; `None` for one that is not commonly known.
    pub method: Option<Method>,
    /// The route, if one took it.
    pub route: Option<RouteFacts>,
    /// Who called, if that was found out.
    pub caller: Option<CallerFacts>,
    /// The answer's status; 0 when none was given.
    pub status: u16,
    /// The code that it was refused with.
    pub code: Option<Arc<str>>,
    /// The code of the refusal that was overlooked.
    pub shadow: Option<Arc<str>>,
    /// How it ended; `None` for the gateway's own pages.
    pub ending: Option<Ending>,
    /// Units charged.
    pub charged: u64,
    /// Money charged.
    pub credit: Option<Money>,
    /// From the head of the request to the end of the answer.
    pub duration: Duration,
    /// By what it was decided who pays; `None` when it did not come so far.
    pub decided: Option<Decided>,
}

/// A record before its numbers are known.
#[derive(Debug)]
pub(super) struct Unresolved<'a> {
    pub(super) route: u64,
    pub(super) caller: u64,
    record: Record,
    decided: Bytes<'a>,
}

/// Gives the id of a request's record, which is all that most that are looked at are asked.
pub(super) fn id(payload: &[u8]) -> Option<Uuid> {
    Bytes(payload).array().map(Uuid::from_bytes)
}

/// Gives the instant that an id of ours was made at, to the millisecond.
pub(super) fn made_at(id: Uuid) -> Option<Timestamp> {
    if id.get_version_num() != 7 {
        return None;
    }
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
}

/// Reads a request.
pub(super) fn read(payload: &[u8]) -> Option<Unresolved<'_>> {
    let mut bytes = Bytes(payload);
    let id = Uuid::from_bytes(bytes.array()?);
    let at = made_at(id)?.checked_add(Duration::from_micros(bytes.number()?)).ok()?;
    let method = entry::method(bytes.byte()?);
    let ending = entry::ending(bytes.byte()?)?;
    let status = u16::from_le_bytes(bytes.array()?);
    let (route, caller) = (bytes.number()?, bytes.number()?);
    let charged = bytes.number()?;
    let duration = Duration::from_micros(bytes.number()?);
    let credit = bytes.some(Bytes::money)?;
    let (code, shadow) = (bytes.optional()?.map(Arc::from), bytes.optional()?.map(Arc::from));
    // What is none yet is put in when the numbers are resolved.
    let record = Record {
        id,
        at,
        method,
        route: None,
        caller: None,
        status,
        code,
        shadow,
        ending,
        charged,
        credit,
        duration,
        decided: None,
    };
    Some(Unresolved { route, caller, record, decided: bytes })
}

impl Unresolved<'_> {
    /// Puts in what the numbers stand for. Without the caller's limits the numbers of a decision mean
    /// nothing.
    pub(super) fn resolve(self, route: Option<RouteFacts>, caller: Option<CallerFacts>) -> Record {
        let Self { route: _, caller: _, record, decided } = self;
        let limits = caller.as_ref().map(|caller| &caller.limits);
        let decided = limits.and_then(|limits| Decided::read(decided, limits, record.at));
        Record { route, caller, decided, ..record }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*, sample::select};

    use super::*;
    use crate::{
        answer::Code,
        model::Nanos,
        requests::{
            Entry, Trail,
            definition::tests::{caller, route},
        },
    };

    fn id_at(at: Timestamp) -> Uuid {
        let ms = u64::try_from(at.as_millisecond()).unwrap();
        uuid::Builder::from_unix_timestamp_millis(ms, &[7; 10]).into_uuid()
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(
            at in 0_i64..4_000_000_000_000_000,
            status in 0_u16..600,
            code in option::of(select(Code::ALL)),
            shadow in option::of(select(Code::ALL)),
            ending in option::of(select(&Ending::ALL[..])),
            (route, caller) in (route(), caller()),
            (charged, micros) in (any::<u64>(), 0_u64..1_000_000_000),
            nanos in option::of(any::<i64>()),
        ) {
            let at = Timestamp::from_microsecond(at).unwrap();
            let credit = nanos.map(|nanos| Money { nanos: Nanos(nanos), currency: "USD".parse().unwrap() });
            let mut trail = Vec::new();
            Trail(&mut trail).uncovered(Code::TrialExpired);
            let (code, shadow) = (code.map(Code::name), shadow.map(Code::name));
            let entry = Entry {
                id: id_at(at), at, method: Some(&Method::PATCH), route: 3, caller: 1 << 40, status, code, shadow,
                ending, charged, credit, duration: Duration::from_micros(micros), decided: &trail,
            };
            let mut out = Vec::new();
            entry.put(&mut out);
            prop_assert_eq!(super::id(&out), Some(entry.id));
            let read = super::read(&out).unwrap();
            prop_assert_eq!((read.route, read.caller), (3, 1 << 40));
            let record = read.resolve(Some(route.clone()), Some(caller.clone()));
            prop_assert_eq!((record.id, record.at), (entry.id, at));
            prop_assert_eq!(record.method, Some(Method::PATCH));
            prop_assert_eq!((record.route, record.caller), (Some(route), Some(caller)));
            prop_assert_eq!((record.code.as_deref(), record.shadow.as_deref()), (code, shadow));
            prop_assert_eq!((record.status, record.ending), (status, ending));
            prop_assert_eq!((record.charged, record.duration), (charged, entry.duration));
            prop_assert_eq!(record.credit, credit);
            let uncovered = record.decided.unwrap().uncovered;
            prop_assert_eq!(uncovered.as_deref(), Some("trial_expired"));
        }

        #[test]
        fn other_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
            if let Some(read) = super::read(&bytes) {
                let caller = CallerFacts {
                    customer: "c".into(), application: None, key_id: "k".into(), plan: None, status: None,
                    limits: Arc::default(),
                };
                read.resolve(None, Some(caller));
            }
        }
    }

    #[test]
    fn unknown_methods_are_no_one() {
        let brew = Method::from_bytes(b"BREW").unwrap();
        let at = Timestamp::UNIX_EPOCH;
        for (method, expected) in [
            (&brew, None),
            (&Method::GET, Some(Method::GET)),
            (&Method::CONNECT, Some(Method::CONNECT)),
        ] {
            let entry = Entry {
                id: id_at(at),
                at,
                method: Some(method),
                route: 0,
                caller: 0,
                status: 404,
                code: None,
                shadow: None,
                ending: None,
                charged: 0,
                credit: None,
                duration: Duration::ZERO,
                decided: &[],
            };
            let mut out = Vec::new();
            entry.put(&mut out);
            assert!(out.len() < 32, "{} bytes", out.len());
            assert_eq!(super::read(&out).unwrap().resolve(None, None).method, expected);
        }
    }
}
