//! What h2 reads from and writes to: the socket, with a look at each frame as it comes.
//!
//! h2 acts on any number of PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, GOAWAY and unknown frames. Each
//! costs the sender next to nothing, so here each takes from an allowance that time and what is written to
//! the client fill up again: who takes an answer must be able to say so.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::preface::PREFACE;
use crate::{http1::Socket, worker::watch::Watch};

/// The socket as h2 has it.
#[derive(Debug)]
pub(super) struct Guarded {
    socket: Rc<Socket>,
    watch: Rc<Watch>,
    /// What came before h2 was there.
    received: BytesMut,
    gauge: Rc<Gauge>,
}

/// What is known of the frames that came.
#[derive(Debug)]
pub(super) struct Gauge {
    reader: RefCell<Reader>,
    allowance: Cell<u32>,
    /// When time was last counted.
    counted: Cell<Instant>,
    is_spent: Cell<bool>,
    /// Heads came in this turn of the connection's task.
    has_heads: Cell<bool>,
}

/// The most that the allowance holds, which is where it begins.
const ALLOWANCE_MAX: u32 = 4000;

/// What each second adds to it.
const PER_SECOND: u32 = 1000;

/// For so many bytes that are written one is added.
const BYTES_PER_UNIT: u32 = 32;

/// What frames take of it. A client may answer each piece of a body with two updates of windows; of the others
/// few are ever needed, and a reset ends work that was begun.
const COST_OF_UPDATE: u32 = 1;
const COST_OF_OTHERS: u32 = 4;
const COST_OF_RESET: u32 = 20;

impl Guarded {
    pub(super) fn new(socket: Rc<Socket>, watch: Rc<Watch>, received: BytesMut) -> Self {
        Self { socket, watch, received, gauge: Rc::new(Gauge::new(Instant::now())) }
    }

    /// Gives what is known of the frames that came.
    pub(super) fn gauge(&self) -> Rc<Gauge> {
        Rc::clone(&self.gauge)
    }

    fn poll_bytes(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return self.socket.poll_read_into(context, buffer);
        }
        let count = self.received.len().min(buffer.remaining());
        buffer.put_slice(self.received.get(..count).unwrap_or_default());
        self.received.advance(count);
        if self.received.is_empty() {
            self.received = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Whoever polls h2 looks at both, and polls it again when one of them has changed.
        if this.gauge.is_spent() || this.watch.must_wait() {
            return Poll::Pending;
        }
        // h2 would read on and hold all heads that come, before the first is looked at and perhaps refused.
        if this.gauge.has_heads.get() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(this.poll_bytes(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if !read.is_empty() && this.watch.is_fresh() {
            this.watch.read(read.len());
        }
        this.gauge.follow(read, Instant::now);
        if this.gauge.is_spent() {
            buffer.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.socket.poll_write(context, slices))?;
        self.gauge.note_written(count);
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(context)
    }

    /// The connection is ended by whoever serves it, as any other.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush(context)
    }
}

impl Gauge {
    fn new(now: Instant) -> Self {
        Self {
            reader: RefCell::new(Reader::new()),
            allowance: Cell::new(ALLOWANCE_MAX),
            counted: Cell::new(now),
            is_spent: Cell::new(false),
            has_heads: Cell::new(false),
        }
    }

    /// Lets more be read, now that the streams whose heads came have had their turns.
    pub(super) fn begin_turn(&self) {
        self.has_heads.set(false);
    }

    /// Tells whether the client has sent too many frames that move nothing.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent.get()
    }

    /// Tells whether a head was begun and is not whole.
    pub(super) fn is_in_head(&self) -> bool {
        self.reader.borrow().is_in_head
    }

    fn follow(&self, bytes: &[u8], now: impl Fn() -> Instant) {
        let Read { cost, heads } = self.reader.borrow_mut().follow(bytes);
        if cost > 0 && self.allowance.get() <= cost {
            self.count_time(now());
        }
        match self.allowance.get().checked_sub(cost) {
            Some(left) => self.allowance.set(left),
            None => self.is_spent.set(true),
        }
        self.has_heads.set(self.has_heads.get() || heads > 0);
    }

    fn note_written(&self, bytes: usize) {
        self.add(u32::try_from(bytes).unwrap_or(u32::MAX) / BYTES_PER_UNIT);
    }

    fn count_time(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted.replace(now));
        let units = passed.as_millis().saturating_mul(u128::from(PER_SECOND)) / 1000;
        self.add(u32::try_from(units).unwrap_or(u32::MAX));
    }

    fn add(&self, units: u32) {
        self.allowance.set(self.allowance.get().saturating_add(units).min(ALLOWANCE_MAX));
    }
}

/// What some bytes held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Read {
    /// What the frames that began in them cost.
    cost: u32,
    /// How many heads ended in them.
    heads: u32,
}

/// Follows frames as they come, however they are cut into pieces.
#[derive(Debug)]
struct Reader {
    /// What is left of the preface, and then of the payload of a frame.
    left: usize,
    head: [u8; HEAD_BYTES],
    head_length: usize,
    /// The head of a request was begun and is not whole.
    is_in_head: bool,
    /// It is whole when the payload under way is.
    ends_head: bool,
}

/// The bytes of a frame's head (RFC 9113 section 4.1).
const HEAD_BYTES: usize = 9;

/// The types of frames that are told apart, and the flag that ends a head.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

impl Reader {
    fn new() -> Self {
        Self {
            left: PREFACE.len(),
            head: [0; HEAD_BYTES],
            head_length: 0,
            is_in_head: false,
            ends_head: false,
        }
    }

    fn follow(&mut self, mut bytes: &[u8]) -> Read {
        let mut read = Read::default();
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                self.note_end(&mut read);
                continue;
            }
            let room = self.head.get_mut(self.head_length..).unwrap_or_default();
            let count = room.len().min(bytes.len());
            let (taken, rest) = bytes.split_at(count);
            for (to, byte) in room.iter_mut().zip(taken) {
                *to = *byte;
            }
            bytes = rest;
            self.head_length += count;
            if self.head_length == HEAD_BYTES {
                self.begin_frame(&mut read);
            }
        }
        read
    }

    /// Begins the payload of a frame.
    fn begin_frame(&mut self, read: &mut Read) {
        self.head_length = 0;
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.left = usize::try_from(length).unwrap_or(usize::MAX);
        if matches!(kind, HEADERS | CONTINUATION) {
            self.is_in_head = true;
            self.ends_head = flags & END_HEADERS != 0;
        }
        self.note_end(read);
        read.cost = read.cost.saturating_add(match kind {
            // How many there may be is for h2 to say, and of pieces that are empty or small too.
            HEADERS | CONTINUATION | DATA => 0,
            WINDOW_UPDATE => COST_OF_UPDATE,
            RST_STREAM => COST_OF_RESET,
            _ => COST_OF_OTHERS,
        });
    }

    fn note_end(&mut self, read: &mut Read) {
        if self.left == 0 && std::mem::take(&mut self.ends_head) {
            self.is_in_head = false;
            read.heads = read.heads.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn reader() -> Reader {
        let mut reader = Reader::new();
        assert_eq!(reader.follow(PREFACE), Read::default());
        reader
    }

    #[test]
    fn frames_cost_by_what_they_are() {
        for (kind, cost) in
            [(0, 0), (1, 0), (2, 4), (3, 20), (4, 4), (6, 4), (7, 4), (8, 1), (9, 0), (99, 4)]
        {
            assert_eq!(reader().follow(&frame(kind, 0, b"payload")).cost, cost, "{kind}");
        }
    }

    #[test]
    fn head_is_open_until_it_is_whole() {
        let mut reader = reader();
        let mut after = |bytes: &[u8]| {
            reader.follow(bytes);
            reader.is_in_head
        };
        let whole = frame(HEADERS, END_HEADERS, b"abc");
        assert!(!after(&whole));
        assert!(after(&whole[..10]));
        assert!(!after(&whole[10..]));
        assert!(after(&frame(HEADERS, 0, b"abc")));
        assert!(after(&frame(CONTINUATION, 0, b"")));
        assert!(!after(&frame(CONTINUATION, END_HEADERS, b"")));
        assert!(!after(&frame(DATA, END_HEADERS, b"abc")));
    }

    #[test]
    fn allowance_is_spent_and_fills_up() {
        let start = Instant::now();
        let ping = frame(6, 0, &[0; 8]);
        let gauge = Gauge::new(start);
        gauge.follow(PREFACE, || start);
        for _ in 0..ALLOWANCE_MAX / COST_OF_OTHERS {
            gauge.follow(&ping, || start);
        }
        assert!(!gauge.is_spent());
        // A second is worth 250 of them, and so are 32,000 bytes.
        for _ in 0..250 {
            gauge.follow(&ping, || start + Duration::from_secs(1));
        }
        gauge.note_written(32_000);
        for _ in 0..250 {
            gauge.follow(&ping, || start + Duration::from_secs(1));
        }
        assert!(!gauge.is_spent());
        gauge.follow(&ping, || start + Duration::from_secs(1));
        assert!(gauge.is_spent());
    }

    proptest! {
        /// However the bytes come, the frames are the same.
        #[test]
        fn pieces_make_no_difference(
            frames in prop::collection::vec((0..12_u8, 0..6_u8, 0..40_usize), 0..20),
            cuts in prop::collection::vec(1..30_usize, 1..20),
        ) {
            let bytes: Vec<u8> = frames
                .iter()
                .flat_map(|(kind, flags, length)| frame(*kind, *flags, &vec![6; *length]))
                .collect();
            let mut whole = reader();
            let read = whole.follow(&bytes);
            let (mut pieces, mut sum, mut rest) = (reader(), Read::default(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at((*cut).min(rest.len()));
                let Read { cost, heads } = pieces.follow(piece);
                sum = Read { cost: sum.cost + cost, heads: sum.heads + heads };
                rest = behind;
            }
            prop_assert_eq!((sum, pieces.is_in_head), (read, whole.is_in_head));
        }
    }
}
