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

use super::frames::{Read, Reader};
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
        self.reader.borrow().is_in_head()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::http2::{frames::COST_OF_OTHERS, preface::PREFACE};

    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    #[test]
    fn allowance_is_spent_and_fills_up() {
        let start = Instant::now();
        let gauge = Gauge::new(start);
        gauge.follow(PREFACE, || start);
        for _ in 0..ALLOWANCE_MAX / COST_OF_OTHERS {
            gauge.follow(&PING, || start);
        }
        assert!(!gauge.is_spent());
        // A second is worth 250 of them, and so are 32,000 bytes.
        for _ in 0..250 {
            gauge.follow(&PING, || start + Duration::from_secs(1));
        }
        gauge.note_written(32_000);
        for _ in 0..250 {
            gauge.follow(&PING, || start + Duration::from_secs(1));
        }
        assert!(!gauge.is_spent());
        gauge.follow(&PING, || start + Duration::from_secs(1));
        assert!(gauge.is_spent());
    }
}
