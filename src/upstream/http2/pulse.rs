//! Whether the other side of a shared connection is still there. A machine that is gone closes nothing, so without
//! a question of ours each request would wait for its `response_timeout`, and the next one would be sent there too.
//!
//! A PING is sent only while requests are under way: after a silence, or when the first one comes after a pause.
//! Servers of gRPC close a connection (`too_many_pings`) at the third that they find too early, which is one within
//! five minutes of the last, unless they have answered something between; so no second one is sent there sooner.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::http1::Stream;

/// How long nothing comes before it is asked, while something is waited for.
const SILENCE: Duration = Duration::from_secs(10);

/// After which pause it is asked with the first request.
const PAUSE: Duration = Duration::from_secs(5);

/// How long nothing comes behind the question before the connection is given up: as long as gRPC's own clients wait,
/// since some servers do nothing else while they work at a request.
const ANSWER: Duration = Duration::from_secs(20);

/// And before no further request is sent there.
const DOUBT: Duration = Duration::from_secs(1);

/// Between two questions where nothing was answered but the first of them.
const APART: Duration = Duration::from_secs(300);

/// What is known of the other side.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Requests that are under way.
    streams: Cell<usize>,
    /// When the last of them ended.
    unused_since: Cell<Instant>,
    /// When anything came last, or something began to be waited for.
    heard_at: Cell<Instant>,
    /// A request was answered, at least in part, since the last question.
    has_answered: Cell<bool>,
    asked_at: Cell<Option<Instant>>,
    /// The question is not answered yet.
    is_asking: Cell<bool>,
    /// The next question does not wait for a silence.
    is_wanted: Cell<bool>,
    /// A question may be due sooner than it looked.
    changed: Notify,
}

/// A socket that tells when something comes.
pub(super) struct Heard {
    pub(super) stream: Stream,
    pub(super) pulse: std::rc::Rc<Pulse>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            streams: Cell::new(0),
            unused_since: Cell::new(now),
            heard_at: Cell::new(now),
            has_answered: Cell::new(false),
            asked_at: Cell::new(None),
            is_asking: Cell::new(false),
            is_wanted: Cell::new(false),
            changed: Notify::new(),
        }
    }

    /// Counts one more request; true when it is the only one.
    pub(super) fn enter(&self) -> bool {
        let streams = self.streams.get();
        self.streams.set(streams.saturating_add(1));
        if streams == 0 {
            let now = Instant::now();
            self.is_wanted.set(now >= self.unused_since.get() + PAUSE);
            self.heard_at.set(now);
            self.changed.notify_one();
        }
        streams == 0
    }

    /// Counts one less; true when it was the last.
    pub(super) fn leave(&self) -> bool {
        let streams = self.streams.get().saturating_sub(1);
        self.streams.set(streams);
        if streams == 0 {
            self.unused_since.set(Instant::now());
        }
        streams == 0
    }

    /// Notes that a request was answered, at least in part.
    pub(super) fn note_answer(&self) {
        if !self.has_answered.replace(true) {
            self.changed.notify_one();
        }
    }

    /// Gives how many requests are under way.
    pub(super) fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Tells since when there is none, where there is none.
    pub(super) fn unused_since(&self) -> Option<Instant> {
        (self.streams.get() == 0).then(|| self.unused_since.get())
    }

    /// Tells whether it may be gone.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_asking.get() && Instant::now() >= self.asked_at().max(self.heard_at.get()) + DOUBT
    }

    /// Watches, and asks by a function that ends with the answer. Ends when the other side is gone.
    pub(super) async fn watch(&self, mut ask: impl AsyncFnMut()) {
        loop {
            while self.streams.get() == 0 {
                self.changed.notified().await;
            }
            let until = self.due();
            if Instant::now() < until {
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = self.changed.notified() => {}
                }
                continue;
            }
            self.is_wanted.set(false);
            self.has_answered.set(false);
            self.asked_at.set(Some(Instant::now()));
            self.is_asking.set(true);
            tokio::select! {
                biased;
                () = ask() => self.is_asking.set(false),
                () = self.silence() => return,
            }
        }
    }

    /// Gives when the next question is due, as it looks now.
    fn due(&self) -> Instant {
        let heard = self.heard_at.get();
        let due = if self.is_wanted.get() { heard } else { heard + SILENCE };
        match self.asked_at.get() {
            Some(asked) if !self.has_answered.get() => due.max(asked + APART),
            _ => due,
        }
    }

    /// Ends when nothing has come for too long behind the question.
    async fn silence(&self) {
        loop {
            let until = self.asked_at().max(self.heard_at.get()) + ANSWER;
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    }

    fn asked_at(&self) -> Instant {
        self.asked_at.get().unwrap_or_else(|| self.heard_at.get())
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, pulse } = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            pulse.heard_at.set(Instant::now());
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// Watches a pulse; gives where the seconds of its questions are kept, and whether it is over.
    struct Watched {
        pulse: Rc<Pulse>,
        asked: Rc<std::cell::RefCell<Vec<u64>>>,
        is_over: Rc<Cell<bool>>,
        began: Instant,
    }

    impl Watched {
        /// `answers` tells whether questions are answered, each half a second later.
        fn start(answers: bool) -> Self {
            let began = Instant::now();
            let watched = Self {
                pulse: Rc::new(Pulse::new()),
                asked: Rc::default(),
                is_over: Rc::default(),
                began,
            };
            let (pulse, asked) = (Rc::clone(&watched.pulse), Rc::clone(&watched.asked));
            let is_over = Rc::clone(&watched.is_over);
            tokio::task::spawn_local(async move {
                let ask = async || {
                    asked.borrow_mut().push(began.elapsed().as_secs());
                    if !answers {
                        std::future::pending::<()>().await;
                    }
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    pulse.heard_at.set(Instant::now());
                };
                pulse.watch(ask).await;
                is_over.set(true);
            });
            watched
        }

        /// Lets time go by until so many seconds after the beginning.
        async fn until(&self, seconds: u64) {
            sleep_until(self.began + Duration::from_secs(seconds)).await;
        }

        fn asked(&self) -> Vec<u64> {
            self.asked.borrow().clone()
        }
    }

    async fn local(test: impl Future<Output = ()>) {
        tokio::task::LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_is_asked_seldom() {
        local(async {
            let it = Watched::start(true);
            it.until(1000).await;
            assert_eq!(it.asked(), [0; 0], "without a request");
            it.pulse.enter();
            it.until(1001).await;
            assert_eq!(it.asked(), [1000], "with the first one after a pause");
            it.until(1299).await;
            assert_eq!(it.asked(), [1000], "servers of gRPC allow no more");
            it.until(1700).await;
            assert_eq!(it.asked(), [1000, 1300, 1600]);
            // Once a request is answered it counts from there.
            it.pulse.note_answer();
            it.pulse.heard_at.set(Instant::now());
            it.until(1900).await;
            assert_eq!(it.asked(), [1000, 1300, 1600, 1710]);
            it.pulse.leave();
            it.until(9999).await;
            assert_eq!(it.asked().len(), 4);
            assert!(!it.is_over.get());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_asked_of_who_goes_on_speaking() {
        local(async {
            let it = Watched::start(false);
            it.pulse.enter();
            for second in 1..100 {
                it.until(second * 9).await;
                it.pulse.heard_at.set(Instant::now());
            }
            assert_eq!(it.asked(), [0; 0]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_doubted_and_then_given_up() {
        local(async {
            let it = Watched::start(false);
            it.pulse.enter();
            it.until(10).await;
            tokio::time::sleep(Duration::from_millis(900)).await;
            assert_eq!(it.asked(), [10]);
            assert!(!it.pulse.is_doubted());
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(it.pulse.is_doubted());
            it.until(15).await;
            // What comes is no answer, but it comes.
            it.pulse.heard_at.set(Instant::now());
            assert!(!it.pulse.is_doubted());
            it.until(34).await;
            assert!(it.pulse.is_doubted() && !it.is_over.get());
            it.until(36).await;
            assert!(it.is_over.get());
            assert_eq!(it.asked(), [10]);
        })
        .await;
    }
}
