//! The clocks of one client connection.
//!
//! Nobody polls the body of an answer that the client does not take, nor, on HTTP/1, a socket
//! with unread bytes. So the connection's own task looks at the time: one timer per connection,
//! armed for the nearest deadline and looked at again only when it fires. Beside the idle and the total time,
//! which `progress.rs` knows, it is the pace of a client that is waited for (`pace.rs`).

mod streams;

use std::{
    cell::{Cell, RefCell},
    num::NonZeroU64,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

pub use self::streams::Carries;
use super::{Signals, Stop, pace::Pace};
use crate::{
    config::ServerLimits,
    memory::Pressure,
    progress::{Cut, Progress},
    telemetry::{figures::Level, metrics::worker::Connections},
};

/// How long a client may think, or dawdle over a head, while places are needed for others.
pub const HURRY: Duration = Duration::from_secs(1);

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
    minimum_rate: Option<NonZeroU64>,
    pace: Cell<Pace>,
    /// Bytes that moved since the pace was looked at.
    bytes: Cell<u64>,
    /// The client is waited for: to send more of a body, or to take more of an answer.
    is_waited_for: Cell<bool>,
    /// An answer is under way, so that it is no longer the body that counts.
    is_answering: Cell<bool>,
    /// Something of a head has come on this connection.
    has_read: Cell<bool>,
    /// A request has come on it.
    has_asked: Cell<bool>,
    /// It ended because the client took nothing, or too little, of an answer.
    has_given_up: Cell<bool>,
    /// What the connection was told last.
    signals: Cell<Signals>,
    request: RefCell<Option<Rc<Progress>>>,
    unread: Cell<bool>,
    looks: Cell<Looks>,
    /// The timer knows whom to wake, and for when.
    armed: Cell<bool>,
    /// `None` for a stream, which is no connection.
    figures: Option<Arc<Connections>>,
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
            minimum_rate: limits.minimum_rate,
            pace: Cell::new(Pace::new(None)),
            bytes: Cell::new(0),
            is_waited_for: Cell::new(false),
            is_answering: Cell::new(false),
            has_read: Cell::new(false),
            has_asked: Cell::new(false),
            has_given_up: Cell::new(false),
            signals: Cell::default(),
            request: RefCell::new(None),
            unread: Cell::new(false),
            looks: Cell::new(Looks::No),
            armed: Cell::new(false),
            figures: Some(figures),
        }
    }

    /// Notes that bytes came from the client.
    pub fn read(&self, bytes: usize) {
        self.has_read.set(true);
        match self.phase.get() {
            // The time of a head counts from its first byte and is not renewed by the others.
            Phase::Head => {}
            Phase::Idle => {
                self.enter(Phase::Head);
                self.moved();
            }
            Phase::Request => self.moved_by(bytes),
        }
    }

    /// Notes that something moved: bytes taken by the client, or sent by the upstream. Between heads
    /// it is the end of an answer, which a client may take slowly while it sends its next request.
    pub fn moved(&self) {
        self.has_moved.set(true);
    }

    /// Notes that so many bytes came from the client, or were taken by it.
    pub fn moved_by(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        self.moved();
    }

    /// Notes whether the client is waited for to send more of a body. Once it is answered, it may take its
    /// time with that.
    pub fn wait_for_body(&self, is_waited_for: bool) {
        if !self.is_answering.get() {
            self.is_waited_for.set(is_waited_for);
        }
    }

    /// Notes whether the client is waited for to take more of an answer.
    pub fn wait_for_taking(&self, is_waited_for: bool) {
        self.is_waited_for.set(is_waited_for);
    }

    /// Notes that an answer is on its way down; what lasts as long as its two sides like has no pace.
    pub fn begin_answer(&self, lasts: bool) {
        self.is_answering.set(true);
        self.restart_pace(self.minimum_rate.filter(|_| !lasts));
    }

    /// Notes that all of it is handed over.
    pub fn end_answer(&self) {
        self.is_answering.set(false);
        self.restart_pace(None);
    }

    /// Takes what the connection is told.
    pub fn tell(&self, signals: Signals) {
        self.signals.set(signals);
        if signals.stop == Stop::Now {
            self.drain();
        }
    }

    /// Gives what it was told.
    pub fn signals(&self) -> Signals {
        self.signals.get()
    }

    /// Tells whether nothing more is to be read: while memory is short, who has asked before goes first,
    /// unless a stop leaves no later.
    pub fn must_wait(&self) -> bool {
        let Signals { stop, pressure } = self.signals.get();
        pressure != Pressure::None && stop == Stop::No && !self.has_asked.get()
    }

    /// Tells whether it ended because the client took nothing, or too little, of an answer.
    pub fn has_given_up(&self) -> bool {
        self.has_given_up.get()
    }

    /// Tells whether nothing has come on the connection, so that a request may be on its way.
    pub fn is_fresh(&self) -> bool {
        !self.has_read.get()
    }

    /// Notes that a request is in flight.
    pub fn begin(&self, progress: Rc<Progress>) {
        self.enter(Phase::Request);
        self.looks.set(Looks::No);
        self.moved();
        self.has_asked.set(true);
        self.restart_pace(self.minimum_rate);
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
    fn drain(&self) {
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
        self.note_pace();
        if self.looks.get() == Looks::Wanted {
            self.looks.set(Looks::At(self.since.get() + LOOK_PERIOD));
        }
        loop {
            let (deadline, alarm) = self.deadline();
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
        if let Some(figures) = &self.figures {
            figures.unparsable.add(1);
        }
    }

    fn enter(&self, phase: Phase) {
        let before = self.phase.replace(phase);
        if let Some(figures) = &self.figures {
            level(figures, before).lower();
            level(figures, phase).raise();
        }
    }

    /// Takes what was noted since it was last called to have happened now.
    fn note_pace(&self) {
        let (has_moved, is_waited_for) = (self.has_moved.take(), self.is_waited_for.get());
        let mut pace = self.pace.get();
        if !has_moved && is_waited_for == pace.is_waiting() {
            return;
        }
        let now = Instant::now();
        if has_moved {
            self.since.set(now);
        }
        // Most clients are never waited for.
        if is_waited_for || pace.is_waiting() {
            pace.note(self.bytes.take(), is_waited_for, now);
            self.pace.set(pace);
        }
    }

    fn restart_pace(&self, rate: Option<NonZeroU64>) {
        self.pace.set(Pace::new(rate));
        self.bytes.set(0);
        self.is_waited_for.set(false);
    }

    /// Gives the instant at which the next alarm goes off if nothing happens, and what it is for.
    fn deadline(&self) -> (Instant, Alarm) {
        let (end, cut) = self.patience();
        match self.looks.get() {
            Looks::At(at) if at < end => (at, Alarm::Look),
            _ => (end, Alarm::Cut(cut)),
        }
    }

    /// Gives the instant at which the next clock runs out if nothing happens, and which clock.
    fn patience(&self) -> (Instant, Cut) {
        let (at, cut) = self.patience_with_silence();
        match self.pace.get().deadline() {
            Some(slow) if slow < at => (slow, Cut::ClientSlow),
            _ => (at, cut),
        }
    }

    fn patience_with_silence(&self) -> (Instant, Cut) {
        let since = self.since.get();
        match self.phase.get() {
            Phase::Head => (since + self.time_for_head(), Cut::ClientIdle),
            Phase::Idle => (since + self.time_to_think(), Cut::ClientIdle),
            // A request that was cut before is on its way out.
            Phase::Request => match &*self.request.borrow() {
                Some(progress) if progress.cut().is_none() => progress.deadline(since),
                _ => (since + self.idle_timeout, Cut::ClientIdle),
            },
        }
    }

    /// Gives how long a head may take. While memory is short it is not to be held for those that dawdle, and
    /// a stop waits for a request that is on its way, but not for one that nobody sends.
    fn time_for_head(&self) -> Duration {
        let Signals { stop, pressure } = self.signals.get();
        let (has_read, has_asked) = (self.has_read.get(), self.has_asked.get());
        // The first head of a connection that nobody knows yet; one that has not begun may wait.
        let is_strange = has_read && !has_asked;
        let most = match pressure {
            _ if stop != Stop::No && !has_read => HURRY,
            Pressure::Connections if is_strange => HURRY,
            // Nobody who was served before is to be refused for those.
            Pressure::Keyless | Pressure::All if is_strange => Duration::ZERO,
            Pressure::Keyless | Pressure::All => HURRY,
            Pressure::None | Pressure::Connections => return self.header_timeout,
        };
        self.header_timeout.min(most)
    }

    /// Gives how long a client may wait before its next request.
    fn time_to_think(&self) -> Duration {
        let is_hurried = self.signals.get().pressure >= Pressure::Connections;
        // The end of an answer may still be on its way.
        let is_hurried = is_hurried && !self.is_answering.get();
        if is_hurried { self.idle_timeout.min(HURRY) } else { self.idle_timeout }
    }

    fn expire(&self, cut: Cut, now: Instant) -> Expired {
        self.has_given_up.set(self.is_answering.get() && self.is_waited_for.get());
        match &*self.request.borrow() {
            Some(progress) if progress.cut().is_none() => {
                // It is on its way out.
                self.restart_pace(None);
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
        if let Some(figures) = &self.figures {
            level(figures, self.phase.get()).lower();
        }
    }
}

fn level(figures: &Connections, phase: Phase) -> &Level {
    let Connections { accepted: _, unparsable: _, handshakes: _, head, idle, request } = figures;
    match phase {
        Phase::Head => head,
        Phase::Idle => idle,
        Phase::Request => request,
    }
}
