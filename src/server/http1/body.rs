//! What a client sends: the bytes that came, and the body of the request that is under way.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};

use crate::{
    http1::{Framing, Socket, Step},
    server::body::{BodyError, INTERIM_BYTES_MAX},
    worker::watch::Watch,
};

/// The request to send a body that waits to be asked for (RFC 9110 section 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What came from a client and was not taken yet.
#[derive(Debug)]
pub(super) struct Inbox {
    socket: Rc<Socket>,
    watch: Rc<Watch>,
    state: RefCell<State>,
    /// Counts the requests, so that the body of one takes nothing of the next.
    number: Cell<u64>,
}

#[derive(Debug)]
struct State {
    buffer: BytesMut,
    /// What is left of the body.
    framing: Framing,
    /// The client waits to be asked for the body.
    waits: bool,
    /// It takes answers ahead of the last one (RFC 9110 section 15.2).
    takes_interim: bool,
    /// What is left to send of those.
    interim: Vec<u8>,
    /// Some of those may not have gone yet.
    is_flushing: bool,
}

impl Inbox {
    pub(super) fn new(socket: Rc<Socket>, watch: Rc<Watch>, buffer: BytesMut) -> Self {
        let state = State {
            buffer,
            framing: Framing::NONE,
            waits: false,
            takes_interim: false,
            interim: Vec::new(),
            is_flushing: false,
        };
        Self { socket, watch, state: RefCell::new(state), number: Cell::new(0) }
    }

    /// Reads more. 0 is the end.
    pub(super) fn poll_fill(&self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.state.borrow_mut().poll_fill(self, context)
    }

    /// Shows the bytes that came.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut BytesMut) -> T) -> T {
        look(&mut self.state.borrow_mut().buffer)
    }

    /// Tells whether nothing came that was not taken.
    pub(super) fn is_empty(&self) -> bool {
        self.state.borrow().buffer.is_empty()
    }

    /// Begins a body, which may have to be asked for.
    pub(super) fn begin(
        self: &Rc<Self>,
        framing: Framing,
        waits: bool,
        takes_interim: bool,
    ) -> Inbound {
        let mut state = self.state.borrow_mut();
        state.framing = framing;
        state.waits = waits && !framing.is_over();
        state.takes_interim = takes_interim;
        Inbound { inbox: Rc::clone(self), number: self.number.get() }
    }

    /// Sends what goes ahead of the answer.
    pub(super) fn poll_interim(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.borrow_mut().poll_interim(self, context)
    }

    /// Takes what was not sent of that, which goes with the answer then.
    pub(super) fn take_interim(&self) -> Vec<u8> {
        std::mem::take(&mut self.state.borrow_mut().interim)
    }

    /// Tells whether the body was taken to its end.
    pub(super) fn is_body_over(&self) -> bool {
        self.state.borrow().framing.is_over()
    }

    /// Ends the body; what came of it already is dropped. Tells whether the next request can be found.
    pub(super) fn end(&self) -> bool {
        self.number.set(self.number.get().wrapping_add(1));
        let mut state = self.state.borrow_mut();
        let State { buffer, framing, .. } = &mut *state;
        loop {
            match framing.step(buffer) {
                Ok(Step::Data(_) | Step::Trailers(_)) => {}
                Ok(Step::End) => return true,
                Ok(Step::More) | Err(_) => return false,
            }
        }
    }

    /// Gives back the memory of what it read, once nothing is left of it.
    pub(super) fn shrink(&self) {
        let buffer = &mut self.state.borrow_mut().buffer;
        if buffer.is_empty() {
            *buffer = BytesMut::new();
        }
    }
}

impl State {
    fn poll_fill(&mut self, inbox: &Inbox, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let wanted = self.framing.wanted(0);
        let read = ready!(inbox.socket.poll_read(context, &mut self.buffer, wanted))?;
        if read > 0 {
            inbox.watch.read(read);
        }
        Poll::Ready(Ok(read))
    }

    fn poll_interim(&mut self, inbox: &Inbox, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let slices = [IoSlice::new(&self.interim)];
            let count = ready!(inbox.socket.poll_write(context, &slices))?;
            self.interim.drain(..count.min(self.interim.len()));
            self.is_flushing = true;
        }
        if self.is_flushing {
            ready!(inbox.socket.poll_flush(context))?;
            self.is_flushing = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// The body of a request, as it follows its head.
#[derive(Debug)]
pub struct Inbound {
    inbox: Rc<Inbox>,
    number: u64,
}

impl Inbound {
    fn is_current(&self) -> bool {
        self.inbox.number.get() == self.number
    }

    /// Makes all that comes the body, to the end of the connection.
    pub fn switch(&self) {
        if self.is_current() {
            self.inbox.state.borrow_mut().framing = Framing::UntilClose;
        }
    }

    /// Sends an answer ahead of the last one, unless the client takes none or too many wait.
    pub fn send_interim(&self, status: StatusCode, lines: &[u8]) {
        let mut state = self.inbox.state.borrow_mut();
        let State { takes_interim, interim, .. } = &mut *state;
        if !self.is_current() || !*takes_interim || interim.len() + lines.len() > INTERIM_BYTES_MAX
        {
            return;
        }
        interim.extend_from_slice(b"HTTP/1.1 ");
        interim.extend_from_slice(status.as_str().as_bytes());
        interim.extend_from_slice(b" ");
        interim.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        interim.extend_from_slice(b"\r\n");
        interim.extend_from_slice(lines);
        interim.extend_from_slice(b"\r\n");
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.is_current() {
            return Poll::Ready(Some(Err(BodyError::Over)));
        }
        let mut state = self.inbox.state.borrow_mut();
        loop {
            let State { buffer, framing, .. } = &mut *state;
            match framing.step(buffer)? {
                Step::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Step::Trailers(fields) => return Poll::Ready(Some(Ok(Frame::trailers(fields)))),
                Step::End => return Poll::Ready(None),
                Step::More => {}
            }
            if std::mem::take(&mut state.waits) {
                state.interim.extend_from_slice(CONTINUE);
            }
            ready!(state.poll_interim(&self.inbox, context))?;
            let filled = state.poll_fill(&self.inbox, context);
            self.inbox.watch.wait_for_body(filled.is_pending());
            if ready!(filled)? == 0 {
                if state.framing == Framing::UntilClose {
                    state.framing = Framing::NONE;
                    return Poll::Ready(None);
                }
                return Poll::Ready(Some(Err(BodyError::Early)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_current() && self.inbox.is_body_over()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.inbox.state.borrow().framing.left();
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
