//! How far a request got: what decides its ending when nothing says it outright.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

use crate::answer::Ending;

/// How far one request got, and the clocks it runs under. Shared by all that touch the request; they
/// live on one thread.
#[derive(Debug)]
pub struct Progress {
    sent: Cell<bool>,
    head: Cell<bool>,
    cut: Cell<Option<Cut>>,
    upload: Cell<Upload>,
    waiting: Cell<Waiting>,
    clocks: Cell<Clocks>,
    /// It can say why it ends.
    is_tunnel: Cell<bool>,
    /// Until when it may say so, and why it is cut if it cannot.
    last_word: Cell<Option<(Instant, Cut)>>,
}

/// How long the reason may take why something ends that can say so.
pub const LAST_WORD_TIME: Duration = Duration::from_secs(5);

/// Why a clock or a stop ended a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// The client sent or took nothing for too long.
    ClientIdle,
    /// The client sent or took too little for as long as it was waited for.
    ClientSlow,
    /// The time to end requests before a stop ran out.
    Drain,
    /// The caller may not be served any longer.
    Right,
    /// The request's total time ran out.
    Total,
    /// The upstream sent nothing for too long.
    UpstreamIdle,
}

/// What became of the request's body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Upload {
    /// The client broke it off, or its framing.
    Broken,
    /// It was sent whole.
    Done,
    /// More may come.
    Open,
    /// It broke the limit.
    TooLarge {
        /// The largest body in bytes.
        max: u64,
    },
}

/// Whom the request waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Waiting {
    /// The client, to send or to take.
    Client,
    /// The upstream, to answer.
    Upstream,
}

/// The clocks of one request.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// When its total time is over.
    pub total: Option<Instant>,
    /// How long nothing may move in either direction.
    pub idle: Duration,
    /// How long the upstream may be silent before its head.
    pub response: Duration,
    /// How long the upstream may be silent after its head.
    pub upstream_idle: Duration,
}

impl Progress {
    /// Makes the progress of a request whose head has just come.
    pub fn new(clocks: Clocks) -> Self {
        Self {
            sent: Cell::new(false),
            head: Cell::new(false),
            cut: Cell::new(None),
            upload: Cell::new(Upload::Open),
            waiting: Cell::new(Waiting::Upstream),
            clocks: Cell::new(clocks),
            is_tunnel: Cell::new(false),
            last_word: Cell::new(None),
        }
    }

    /// Sets the clocks, once the route and the upstream are known.
    pub fn set_clocks(&self, clocks: Clocks) {
        self.clocks.set(clocks);
    }

    /// Gives the clocks.
    pub fn clocks(&self) -> Clocks {
        self.clocks.get()
    }

    /// Notes that it is a WebSocket from here on: its total time has no end, and it says why it ends.
    pub fn set_tunnel(&self) {
        self.clocks.set(Clocks { total: None, ..self.clocks.get() });
        self.is_tunnel.set(true);
    }

    /// Notes that it is to end, which it may still say: false where it can say nothing, or was to end
    /// before. What cannot say it in time is cut for the reason given.
    pub fn begin_last_word(&self, now: Instant, cut: Cut) -> bool {
        let begins = self.is_tunnel.get() && self.last_word.get().is_none();
        if begins {
            self.last_word.set(Some((now + LAST_WORD_TIME, cut)));
        }
        begins
    }

    /// Gives the reason why it is to end and may say so.
    pub fn last_word(&self) -> Option<Cut> {
        self.last_word.get().map(|(_, cut)| cut)
    }

    /// Notes that a byte was written to an upstream connection.
    pub fn set_sent(&self) {
        self.sent.set(true);
    }

    /// Notes that the head of the answer came.
    pub fn set_head(&self) {
        self.head.set(true);
    }

    /// Notes why the request is ended from outside; the first reason stays.
    pub fn set_cut(&self, cut: Cut) {
        if self.cut.get().is_none() {
            self.cut.set(Some(cut));
        }
    }

    /// Notes what became of the body.
    pub fn set_upload(&self, upload: Upload) {
        self.upload.set(upload);
    }

    /// Notes whom the request waits for.
    pub fn set_waiting(&self, waiting: Waiting) {
        self.waiting.set(waiting);
    }

    /// Tells whether a byte was written to an upstream connection.
    pub fn sent(&self) -> bool {
        self.sent.get()
    }

    /// Tells whether the head of the answer came.
    pub fn head(&self) -> bool {
        self.head.get()
    }

    /// Gives the reason why it is ended from outside.
    pub fn cut(&self) -> Option<Cut> {
        self.cut.get()
    }

    /// Gives what became of the body.
    pub fn upload(&self) -> Upload {
        self.upload.get()
    }

    /// Gives the ending of a request that is dropped at this point.
    pub fn ending(&self) -> Ending {
        if std::thread::panicking() {
            return if self.head() { Ending::FaultedAfterHead } else { Ending::FaultedBeforeHead };
        }
        match (self.head(), self.cut()) {
            (true, Some(Cut::Drain | Cut::Right | Cut::Total)) => Ending::Expired,
            (true, Some(Cut::UpstreamIdle)) => Ending::Truncated,
            (true, Some(Cut::ClientIdle | Cut::ClientSlow) | None) => Ending::Aborted,
            (false, _) if !self.sent() => Ending::Unsent,
            (false, Some(_)) => Ending::Failed,
            (false, None) => Ending::Abandoned,
        }
    }

    /// Gives the instant at which a clock runs out if nothing moves after `since`, and which clock.
    pub fn deadline(&self, since: Instant) -> (Instant, Cut) {
        if let Some(last) = self.last_word.get() {
            return last;
        }
        let clocks = self.clocks.get();
        let silent = if self.head() { clocks.upstream_idle } else { clocks.response };
        let (patience, cut) = match self.waiting.get() {
            Waiting::Client => (clocks.idle, Cut::ClientIdle),
            Waiting::Upstream => (clocks.idle.min(silent), Cut::UpstreamIdle),
        };
        let idle = since + patience;
        match clocks.total {
            Some(total) if total < idle => (total, Cut::Total),
            _ => (idle, cut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        let second = Duration::from_secs(1);
        Progress::new(Clocks {
            total: None,
            idle: second * 60,
            response: second * 20,
            upstream_idle: second * 30,
        })
    }

    #[tokio::test]
    async fn ending_tells_how_far_it_got() {
        let fresh = progress();
        assert_eq!(fresh.ending(), Ending::Unsent);
        fresh.set_cut(Cut::Total);
        assert_eq!(fresh.ending(), Ending::Unsent);

        let sent = progress();
        sent.set_sent();
        assert_eq!(sent.ending(), Ending::Abandoned);
        sent.set_cut(Cut::UpstreamIdle);
        assert_eq!(sent.ending(), Ending::Failed);

        for (cut, ending) in [
            (None, Ending::Aborted),
            (Some(Cut::ClientIdle), Ending::Aborted),
            (Some(Cut::ClientSlow), Ending::Aborted),
            (Some(Cut::UpstreamIdle), Ending::Truncated),
            (Some(Cut::Total), Ending::Expired),
            (Some(Cut::Drain), Ending::Expired),
            (Some(Cut::Right), Ending::Expired),
        ] {
            let answered = progress();
            answered.set_sent();
            answered.set_head();
            if let Some(cut) = cut {
                answered.set_cut(cut);
            }
            assert_eq!(answered.ending(), ending, "{cut:?}");
        }
    }

    #[tokio::test]
    async fn what_can_say_why_it_ends_has_a_time_for_it() {
        let (start, progress) = (Instant::now(), progress());
        assert!(!progress.begin_last_word(start, Cut::UpstreamIdle));
        progress.set_tunnel();
        assert!(progress.begin_last_word(start, Cut::UpstreamIdle));
        assert!(!progress.begin_last_word(start, Cut::Total), "the first reason stays");
        let later = start + Duration::from_secs(1000);
        let last = (start + LAST_WORD_TIME, Cut::UpstreamIdle);
        assert_eq!(progress.deadline(later), last);
    }

    #[tokio::test]
    async fn first_clock_to_run_out_decides() {
        let start = Instant::now();
        let progress = progress();
        assert_eq!(progress.deadline(start), (start + Duration::from_secs(20), Cut::UpstreamIdle));
        progress.set_waiting(Waiting::Client);
        assert_eq!(progress.deadline(start), (start + Duration::from_secs(60), Cut::ClientIdle));
        progress.set_head();
        progress.set_waiting(Waiting::Upstream);
        assert_eq!(progress.deadline(start), (start + Duration::from_secs(30), Cut::UpstreamIdle));
        let total = Some(start + Duration::from_secs(5));
        progress.set_clocks(Clocks { total, ..progress.clocks.get() });
        assert_eq!(progress.deadline(start), (start + Duration::from_secs(5), Cut::Total));
    }
}
