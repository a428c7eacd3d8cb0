//! Answers that were paid for, kept for a while: who presents the same payment again with the same request gets the same
//! answer, so that nobody pays twice for one that got lost on the way.
//!
//! A request is known by a digest of all of it: what a client repeats when it sends the same request again. Its payment is
//! no secret once a chain has it, so what else the client knows must count.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use http::{HeaderName, HeaderValue, header, request::Parts};
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::till::{Mark, Order};
use crate::http1::Fields;

/// The largest answer that is kept, by the bytes of its fields and its body.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// How many bytes of answers one process copies at a time, until they are written.
pub(super) const COPIED_BYTES_MAX: usize = 32 << 20;

/// How many bytes of answers are kept in all; the oldest go first.
pub(super) const KEPT_BYTES_MAX: i64 = 64 << 20;

/// A digest of a request that comes in pieces: its head, then its body as it goes up.
#[derive(Clone, Debug)]
pub(crate) struct Print(Rc<RefCell<Sha256>>);

/// Fields that are not the request's own, or that a client writes anew each time. A payment is told by what it moves.
static APART: [HeaderName; 26] = [
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::DATE,
    header::EXPECT,
    header::FORWARDED,
    header::HOST,
    header::PRAGMA,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::VIA,
    HeaderName::from_static("baggage"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("payment-authorization"),
    HeaderName::from_static("payment-signature"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-correlation-id"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-payment"),
    HeaderName::from_static("x-request-id"),
];

impl Print {
    /// Begins with a head, and the address of what it asks for.
    pub(crate) fn of(head: &Parts, address: [&str; 3], target: &str) -> Self {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            // Its length before each, so that no two requests make the same bytes.
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        };
        add(head.method.as_str().as_bytes());
        address.iter().for_each(|part| add(part.as_bytes()));
        add(target.as_bytes());
        let is_own =
            |name: &&HeaderName| !APART.contains(name) && !name.as_str().starts_with("faregate-");
        let mut names: Vec<&HeaderName> = head.headers.keys().filter(is_own).collect();
        names.sort_unstable_by_key(|name| name.as_str());
        for name in names {
            let values = head.headers.get_all(name).iter();
            let values: Vec<&HeaderValue> =
                values.filter(|value| !is_payment(name, value)).collect();
            if values.is_empty() {
                continue;
            }
            add(name.as_str().as_bytes());
            add(&values.len().to_be_bytes());
            values.iter().for_each(|value| add(value.as_bytes()));
        }
        // No field has this name, so that no body is taken for more of them.
        add(b"");
        Self(Rc::new(RefCell::new(hash)))
    }

    /// Goes on with a piece of the body.
    pub(crate) fn push(&self, data: &[u8]) {
        self.0.borrow_mut().update(data);
    }

    /// Gives the digest of what has come.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.0.borrow().clone().finalize().into()
    }
}

/// Tells whether a field brings a payment where others bring who they are.
fn is_payment(name: &HeaderName, value: &HeaderValue) -> bool {
    let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
    *name == header::AUTHORIZATION && scheme.eq_ignore_ascii_case(b"payment")
}

/// Makes copies of answers that pass, where there is room for them.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(super) payment: i64,
    pub(super) room: Arc<Semaphore>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) place: Option<Arc<OwnedSemaphorePermit>>,
    pub(super) mark: Option<Mark>,
}

/// A copy of an answer that passes.
#[derive(Debug)]
pub(crate) struct Copied {
    shelf: Shelf,
    print: Print,
    answer: Answer,
    /// As many as it has bytes.
    room: Option<OwnedSemaphorePermit>,
}

/// An answer as it is kept.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: Vec<u8>,
    pub(super) length: Option<u64>,
    pub(super) body: Vec<u8>,
}

/// An answer that is to be kept.
#[derive(Debug)]
pub(super) struct Keeping {
    /// Its number.
    pub(super) payment: i64,
    pub(super) request: [u8; 32],
    pub(super) answer: Answer,
    /// Both are given back once it is written.
    pub(super) room: Option<OwnedSemaphorePermit>,
    pub(super) place: Option<Arc<OwnedSemaphorePermit>>,
}

impl Shelf {
    /// Begins a copy with the head of an answer to a request; `None` where it is too large, or there is no room.
    pub(crate) fn copy(self, print: Print, status: u16, fields: &Fields) -> Option<Copied> {
        let mut copied = Copied { shelf: self, print, answer: Answer::default(), room: None };
        copied.make_room(fields.lines.len())?;
        let Fields { lines, length, has_date: _ } = fields;
        copied.answer = Answer { status, fields: lines.clone(), length: *length, body: Vec::new() };
        Some(copied)
    }
}

impl Copied {
    /// Goes on with a piece of the body; `None` where it has become too large.
    pub(crate) fn with(mut self: Box<Self>, data: &[u8]) -> Option<Box<Self>> {
        self.make_room(data.len())?;
        self.answer.body.extend_from_slice(data);
        Some(self)
    }

    /// Has it kept: it is whole, and so is its request.
    pub(crate) fn keep(self) {
        let Self { shelf: Shelf { payment, room: _, orders, place, mark }, print, answer, room } =
            self;
        let keeping = Keeping { payment, request: print.digest(), answer, room, place };
        // What is not kept cannot be fetched again, which nobody was promised.
        let _ = orders.try_send(Order::Keep(Box::new(keeping)));
        // Whoever presents the proof from now on is behind it.
        drop(mark);
    }

    fn make_room(&mut self, bytes: usize) -> Option<()> {
        let Answer { fields, body, .. } = &self.answer;
        if fields.len() + body.len() + bytes > ANSWER_BYTES_MAX {
            return None;
        }
        let more = u32::try_from(bytes).ok()?;
        let more = Arc::clone(&self.shelf.room).try_acquire_many_owned(more).ok()?;
        match &mut self.room {
            Some(room) => room.merge(more),
            none => *none = Some(more),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn print(method: &str, target: &str, fields: &[(&str, &str)], body: &[&str]) -> [u8; 32] {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let print = Print::of(&head, ["https://", "a", "/x"], target);
        body.iter().for_each(|piece| print.push(piece.as_bytes()));
        print.digest()
    }

    #[test]
    fn same_request_is_told_from_every_other() {
        let fields = [("accept", "a"), ("cookie", "k")];
        let first = print("POST", "/x?a=1", &fields, &["hello"]);
        let turned = [
            fields[1],
            fields[0],
            ("date", "x"),
            ("x-forwarded-for", "192.0.2.1"),
            ("authorization", "Payment e30"),
            ("payment-authorization", "Payment e30"),
        ];
        assert_eq!(first, print("POST", "/x?a=1", &turned, &["he", "", "llo"]));
        for (case, other) in [
            ("method", print("PUT", "/x?a=1", &fields, &["hello"])),
            ("query", print("POST", "/x?a=2", &fields, &["hello"])),
            ("cookie", print("POST", "/x?a=1", &[fields[0], ("cookie", "l")], &["hello"])),
            ("no cookie", print("POST", "/x?a=1", &fields[..1], &["hello"])),
            ("one more", print("POST", "/x?a=1", &[fields[0], fields[1], fields[1]], &["hello"])),
            ("body", print("POST", "/x?a=1", &fields, &["hellO"])),
            ("no body", print("POST", "/x?a=1", &fields, &[])),
        ] {
            assert_ne!(first, other, "{case}");
        }
        let field =
            "\0\0\0\0\0\0\0\x06accept\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01a";
        assert_ne!(
            print("POST", "/x", &fields[..1], &["hello"]),
            print("POST", "/x", &[], &[field, "hello"]),
            "a body like a field"
        );
    }

    #[test]
    fn copy_ends_where_it_becomes_too_large_or_room_is_short() {
        let (orders, mut kept) = mpsc::channel(4);
        let room = Arc::new(Semaphore::new(ANSWER_BYTES_MAX + 100));
        let shelf = || Shelf {
            payment: 7,
            room: Arc::clone(&room),
            orders: orders.clone(),
            place: None,
            mark: None,
        };
        let (head, ()) = Request::new(()).into_parts();
        let print = || Print::of(&head, ["", "", ""], "/");
        let fields = Fields { lines: vec![b'x'; 100], ..Fields::default() };
        let begun = || Box::new(shelf().copy(print(), 200, &fields).unwrap());
        let piece = vec![b'y'; ANSWER_BYTES_MAX - 100];
        let whole = begun().with(&piece[..1000]).unwrap().with(&piece[1000..]).unwrap();
        // Another one has no room beside it, beyond its head.
        assert!(begun().with(b"z").is_none());
        assert!(
            shelf()
                .copy(print(), 200, &Fields { lines: vec![b'x'; 101], ..Fields::default() })
                .is_none()
        );
        whole.keep();
        let Order::Keep(keeping) = kept.try_recv().unwrap() else { panic!() };
        assert_eq!((keeping.answer.body.len(), keeping.answer.status), (piece.len(), 200));
        drop(keeping);
        assert_eq!(room.available_permits(), ANSWER_BYTES_MAX + 100);
        assert!(begun().with(&piece).unwrap().with(b"z").is_none(), "one byte too many");
    }
}
