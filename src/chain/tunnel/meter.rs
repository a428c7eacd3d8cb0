//! What the client of a WebSocket says, on its way up: as it is, or message by message, each after it is
//! paid for.
//!
//! Invariant: where messages are paid for, no byte of one is given before its reservation is written down.
//! Meanwhile nothing more is read, so that no more is kept than one read brings.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::{
    link::{Closing, Link},
    toll::Toll,
};
use crate::{
    chain::reservation::Reservation,
    server::body::{BodyError, ClientBody},
    websocket::{self, Frames, Messages, Step},
};

/// What the client says, on its way up.
pub struct Meter {
    link: Rc<Link>,
    toll: Rc<Toll>,
    reader: Reader,
    /// What was read and not given yet.
    rest: Bytes,
    withheld: Option<Withheld>,
    /// Messages of which nothing was sent, and where each begins. They are few: while one waits to be paid
    /// for, those before it are sent.
    unsent: VecDeque<(u64, Reservation)>,
    /// How many bytes were given.
    given: u64,
    is_over: bool,
    mask: [u8; 4],
}

/// How what the client says is read.
#[derive(Debug)]
enum Reader {
    /// Only for where frames end.
    Passing(Frames),
    /// To the letter.
    Counting(Messages),
}

/// The head of a message that is not paid for.
struct Withheld {
    head: Bytes,
    taking: Pin<Box<Taking>>,
}

/// Boxed as what it is, since it cannot be named; there is one at a time.
type Taking = dyn Future<Output = Result<Option<Reservation>, Closing>>;

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("given", &self.given).finish_non_exhaustive()
    }
}

impl Meter {
    pub(super) fn passing(link: Rc<Link>, toll: Rc<Toll>, mask: [u8; 4]) -> Self {
        Self::new(link, toll, Reader::Passing(Frames::default()), mask)
    }

    pub(super) fn counting(link: Rc<Link>, toll: Rc<Toll>, mask: [u8; 4]) -> Self {
        Self::new(link, toll, Reader::Counting(Messages::default()), mask)
    }

    fn new(link: Rc<Link>, toll: Rc<Toll>, reader: Reader, mask: [u8; 4]) -> Self {
        Self {
            link,
            toll,
            reader,
            rest: Bytes::new(),
            withheld: None,
            unsent: VecDeque::new(),
            given: 0,
            is_over: false,
            mask,
        }
    }

    /// Charges the messages of which a byte was sent, of so many in all.
    pub fn note_sent(&mut self, bytes: u64) {
        while self.unsent.front().is_some_and(|(begin, _)| *begin < bytes) {
            if let Some((_, reservation)) = self.unsent.pop_front() {
                self.toll.charge(reservation);
            }
        }
    }

    /// Gives the next bytes to send.
    pub fn poll_frame(
        &mut self,
        body: &mut ClientBody,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.link.follow_up(context);
        loop {
            if let Some(closing) = self.link.closing() {
                let last = self.last_word(closing);
                return Poll::Ready(last.map(|bytes| Ok(self.give(bytes))));
            }
            if self.link.is_halted() {
                return Poll::Pending;
            }
            match ready!(self.poll_paid(context)) {
                Ok(None) => {}
                Ok(Some(head)) => return Poll::Ready(Some(Ok(self.give(head)))),
                Err(closing) => {
                    self.link.close(closing);
                    continue;
                }
            }
            if self.rest.is_empty() {
                match ready!(Pin::new(&mut *body).poll_frame(context)) {
                    Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                    end => return Poll::Ready(end),
                }
            }
            if let Some(bytes) = self.step() {
                return Poll::Ready(Some(Ok(self.give(bytes))));
            }
        }
    }

    /// Takes the next bytes that may pass out of those that were read.
    fn step(&mut self) -> Option<Bytes> {
        let step = match &mut self.reader {
            Reader::Passing(frames) => {
                let bytes = std::mem::take(&mut self.rest);
                frames.follow(&bytes);
                return Some(bytes);
            }
            Reader::Counting(messages) => messages.step(&mut self.rest),
        };
        match step {
            Ok(Step::Rest(bytes)) => return Some(bytes),
            Ok(Step::More) => {}
            Ok(Step::Message(head)) => {
                let toll = Rc::clone(&self.toll);
                let taking = Box::pin(async move { toll.take().await });
                self.withheld = Some(Withheld { head, taking });
            }
            Err(wrong) => self.link.close(Closing::malformed(wrong)),
        }
        None
    }

    /// Waits until the message that is withheld is paid for, and gives its head.
    fn poll_paid(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Closing>> {
        let Some(withheld) = &mut self.withheld else { return Poll::Ready(Ok(None)) };
        let taken = ready!(withheld.taking.as_mut().poll(context))?;
        self.unsent.extend(taken.map(|reservation| (self.given, reservation)));
        Poll::Ready(Ok(self.withheld.take().map(|withheld| withheld.head)))
    }

    /// Gives the frame that tells the upstream why it ends, where one may stand, and nothing behind it.
    fn last_word(&mut self, closing: Closing) -> Option<Bytes> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        // What was taken for a message that is withheld is given back with it.
        let is_between = self.withheld.take().is_some()
            || match &self.reader {
                Reader::Passing(frames) => frames.is_between(),
                Reader::Counting(messages) => messages.is_between(),
            };
        let Closing { status, reason, code: _ } = closing;
        is_between.then(|| websocket::close_masked(status, reason, self.mask))
    }

    fn give(&mut self, bytes: Bytes) -> Frame<Bytes> {
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.given = self.given.saturating_add(count);
        Frame::data(bytes)
    }
}
