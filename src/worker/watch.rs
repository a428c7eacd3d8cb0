//! The clocks of one client connection.
//!
//! Nobody polls the body of an answer that the client does not take, nor, on HTTP/1, a socket
//! with unread bytes. So the connection's own task looks at the time: one timer per connection,
//! armed for the nearest deadline and looked at again only when it fires.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use crate::{
    config::ServerLimits,
    progress::{Cut, Progress},
    telemetry::{figures::Level, metrics::worker::Connections},
};

/// The clocks of one client connection.
#[derive(Debug)]
pub struct Watch {
    phase: Cell<Phase>,
    /// When something moved last.
    since: Cell<Instant>,
    /// Something moved after that; when is asked once, when the clocks are looked at.
    has_moved: Cell<bool>,
    header_timeout: Duration,
    idle_timeout: Duration,
    request: RefCell<Option<Rc<Progress>>>,
    unread: Cell<bool>,
    looks: Cell<Looks>,
    /// The timer knows whom to wake, and for when.
    armed: Cell<bool>,
    figures: Arc<Connections>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Bytes of a head are awaited, or the rest of it.
    Head,
    /// Between requests.
    Idle,
    /// A request is in flight.
    Request,
}

/// Whether the caller is looked at again while an answer lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Looks {
    /// Not yet: most answers go out in one go, and take no timer for it.
    No,
    /// As soon as the answer has lasted.
    Wanted,
    /// Then.
    At(Instant),
    /// Now, and each period from then on.
    Due(Instant),
}

/// How often the caller is looked at: a key that is revoked, a subscription that has ended ends what lasts
/// as soon.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// What the connection's task must do when a clock ran out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expired {
    /// Let the request answer: no head was sent yet.
    Answer,
    /// Close the connection.
    Close,
    /// Let the answer see whether its caller may still be served.
    Look,
}

/// What a clock is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Alarm {
    Cut(Cut),
    Look,
}

impl Watch {
    /// Starts with the wait for the first head.
    pub fn new(limits: &ServerLimits, figures: Arc<Connections>) -> Self {
        figures.accepted.add(1);
        figures.head.raise();
        Self {
            phase: Cell::new(Phase::Head),
            since: Cell::new(Instant::now()),
            has_moved: Cell::new(false),
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            request: RefCell::new(None),
            unread: Cell::new(false),
            looks: Cell::new(Looks::No),
            armed: Cell::new(false),
            figures,
        }
    }

    /// Notes that bytes came from the client.
    pub fn read(&self) {
        match self.phase.get() {
            // The time of a head counts from its first byte and is not renewed by the others.
            Phase::Head => {}
            Phase::Idle => {
                self.enter(Phase::Head);
                self.moved();
            }
            Phase::Request => self.moved(),
        }
    }

    /// Notes that something moved: bytes taken by the client, or sent by the upstream. Between heads
    /// it is the end of an answer, which a client may take slowly while it sends its next request.
    pub fn moved(&self) {
        self.has_moved.set(true);
    }

    /// Notes that a request is in flight.
    pub fn begin(&self, progress: Rc<Progress>) {
        self.enter(Phase::Request);
        self.looks.set(Looks::No);
        self.moved();
        *self.request.borrow_mut() = Some(progress);
    }

    /// Notes that the request in flight is over.
    pub fn end(&self) {
        self.enter(Phase::Idle);
        self.looks.set(Looks::No);
        self.moved();
        *self.request.borrow_mut() = None;
    }

    /// Notes that the answer did not go out in one go, so that it may last.
    pub fn lasts(&self) {
        if self.phase.get() == Phase::Request && self.looks.get() == Looks::No {
            self.looks.set(Looks::Wanted);
        }
    }

    /// Tells whether the caller is to be looked at, once for each time.
    pub fn takes_look(&self) -> bool {
        let Looks::Due(next) = self.looks.get() else { return false };
        self.looks.set(Looks::At(next));
        true
    }

    /// Notes that bytes of a body were left unread, so that the close must linger: closing a socket
    /// with unread bytes resets it, and the answer might never be read.
    pub fn leave_unread(&self) {
        self.unread.set(true);
    }

    /// Tells whether the close must linger.
    pub fn left_unread(&self) -> bool {
        self.unread.get()
    }

    /// Ends what is in flight because the time to do so before a stop ran out.
    pub fn drain(&self) {
        if let Some(progress) = &*self.request.borrow() {
            progress.set_cut(Cut::Drain);
        }
    }

    /// Waits for a clock to run out. To be called after each time that the connection was polled: what moved
    /// since the last call is taken to have moved now.
    pub fn poll_expired(
        &self,
        context: &mut Context<'_>,
        mut sleep: Pin<&mut Sleep>,
    ) -> Poll<Expired> {
        if self.has_moved.take() {
            self.since.set(Instant::now());
        }
        if self.looks.get() == Looks::Wanted {
            self.looks.set(Looks::At(self.since.get() + LOOK_PERIOD));
        }
        loop {
            let Some((deadline, alarm)) = self.deadline() else { return Poll::Pending };
            // An earlier alarm is left as it is: it fires, finds that time moved on and is set anew.
            // So a busy connection does not touch the timer for each request.
            if sleep.deadline() > deadline || sleep.is_elapsed() {
                sleep.as_mut().reset(deadline);
            } else if self.armed.get() {
                return Poll::Pending;
            }
            self.armed.set(true);
            ready!(sleep.as_mut().poll(context));
            let now = Instant::now();
            if now >= deadline {
                return Poll::Ready(match alarm {
                    Alarm::Cut(cut) => self.expire(cut, now),
                    Alarm::Look => {
                        self.looks.set(Looks::Due(now + LOOK_PERIOD));
                        Expired::Look
                    }
                });
            }
        }
    }

    /// Notes that a head came that is none.
    pub fn could_not_parse(&self) {
        self.figures.unparsable.add(1);
    }

    fn enter(&self, phase: Phase) {
        self.level(self.phase.replace(phase)).lower();
        self.level(phase).raise();
    }

    fn level(&self, phase: Phase) -> &Level {
        let Connections { accepted: _, unparsable: _, head, idle, request } = &*self.figures;
        match phase {
            Phase::Head => head,
            Phase::Idle => idle,
            Phase::Request => request,
        }
    }

    fn deadline(&self) -> Option<(Instant, Alarm)> {
        let (end, cut) = self.patience()?;
        Some(match self.looks.get() {
            Looks::At(at) if at < end => (at, Alarm::Look),
            _ => (end, Alarm::Cut(cut)),
        })
    }

    fn patience(&self) -> Option<(Instant, Cut)> {
        let since = self.since.get();
        match self.phase.get() {
            Phase::Head => Some((since + self.header_timeout, Cut::ClientIdle)),
            Phase::Idle => Some((since + self.idle_timeout, Cut::ClientIdle)),
            // A request that was cut before is on its way out.
            Phase::Request => match &*self.request.borrow() {
                Some(progress) if progress.cut().is_none() => Some(progress.deadline(since)),
                _ => Some((since + self.idle_timeout, Cut::ClientIdle)),
            },
        }
    }

    fn expire(&self, cut: Cut, now: Instant) -> Expired {
        match &*self.request.borrow() {
            Some(progress) if progress.cut().is_none() => {
                if progress.begin_last_word(now, cut) {
                    return Expired::Answer;
                }
                progress.set_cut(cut);
                if progress.head() { Expired::Close } else { Expired::Answer }
            }
            _ => Expired::Close,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.level(self.phase.get()).lower();
    }
}
