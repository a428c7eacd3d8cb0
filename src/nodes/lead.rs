//! The right to do what is done once for all processes that share a store: to send webhooks, to tell what time brings, to
//! keep the ledger.
//!
//! Invariant: a process gives it up, by its own clock, before the store lets another one take it; what it learns of it
//! counts from before it asked. Only a process that is held still in the middle of something goes on with that beside
//! another one, so whatever is done must bear to be done twice.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// The right, as far as this process has it.
#[derive(Debug)]
pub struct Lead {
    term: watch::Sender<Term>,
    is_resigned: AtomicBool,
    /// Whether this process can do what is to be done, as far as it knows.
    is_able: AtomicBool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Term {
    /// Nobody else is there.
    Always,
    Not,
    Until(Instant),
}

impl Lead {
    /// Makes that of a process which has the store for itself.
    pub fn of_one() -> Self {
        Self::new(Term::Always)
    }

    /// Makes that of a process which has to ask for it.
    pub fn of_many() -> Self {
        Self::new(Term::Not)
    }

    fn new(term: Term) -> Self {
        let term = watch::Sender::new(term);
        Self { term, is_resigned: false.into(), is_able: true.into() }
    }

    /// Learns until when this process has it; `None` where it has not.
    pub(super) fn learn(&self, until: Option<Instant>) {
        let until = until.filter(|_| self.is_wanted());
        self.term.send_replace(until.map_or(Term::Not, Term::Until));
    }

    /// Gives it up for good, as a process that stops does.
    pub fn resign(&self) {
        self.is_resigned.store(true, Ordering::Relaxed);
        self.term.send_replace(Term::Not);
    }

    /// Notes whether this process can do what is to be done: else another one is to have it, which may be able to.
    pub fn set_able(&self, is_able: bool) {
        self.is_able.store(is_able, Ordering::Relaxed);
    }

    /// Tells whether it is to be asked for.
    pub(super) fn is_wanted(&self) -> bool {
        !self.is_resigned.load(Ordering::Relaxed) && self.is_able.load(Ordering::Relaxed)
    }

    /// Tells whether this process has it at this moment.
    pub fn is_held(&self) -> bool {
        self.term.borrow().is_held()
    }

    /// Waits until this process has it.
    pub async fn held(&self) {
        // It cannot fail, since the sender is here.
        let _ = self.term.subscribe().wait_for(|term| term.is_held()).await;
    }

    /// Waits until this process has it no more.
    pub async fn lost(&self) {
        let mut terms = self.term.subscribe();
        loop {
            let term = *terms.borrow_and_update();
            if !term.is_held() {
                return;
            }
            let end = async {
                match term {
                    Term::Until(end) => sleep_until(end).await,
                    Term::Always | Term::Not => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = terms.changed() => {}
                () = end => {}
            }
        }
    }
}

impl Term {
    fn is_held(self) -> bool {
        match self {
            Self::Always => true,
            Self::Not => false,
            Self::Until(end) => Instant::now() < end,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{advance, timeout};

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    /// Tells whether something that is waited for has come.
    async fn has_come(event: impl Future<Output = ()>) -> bool {
        timeout(SOON, event).await.is_ok()
    }

    fn in_seconds(seconds: u64) -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_until_its_end_and_as_long_as_it_is_renewed() {
        let lead = Lead::of_many();
        assert!(!lead.is_held() && !has_come(lead.held()).await && has_come(lead.lost()).await);
        lead.learn(in_seconds(5));
        assert!(lead.is_held() && has_come(lead.held()).await && !has_come(lead.lost()).await);
        let renewed = async {
            advance(Duration::from_secs(4)).await;
            lead.learn(in_seconds(5));
            advance(Duration::from_secs(4)).await;
            assert!(lead.is_held());
        };
        tokio::select! {
            biased;
            () = lead.lost() => panic!("it was renewed"),
            () = renewed => {}
        }
        let waiting = Instant::now();
        lead.lost().await;
        assert!(waiting.elapsed() < Duration::from_millis(1100), "{:?}", waiting.elapsed());
        assert!(!lead.is_held());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_lost_at_once_where_another_one_has_it() {
        let lead = Lead::of_many();
        lead.learn(in_seconds(5));
        lead.learn(None);
        assert!(!lead.is_held() && has_come(lead.lost()).await);
    }

    /// What was asked before may be answered behind it.
    #[tokio::test(start_paused = true)]
    async fn who_resigned_does_not_get_it_again() {
        let lead = Lead::of_many();
        lead.learn(in_seconds(5));
        assert!(lead.is_wanted());
        lead.resign();
        lead.learn(in_seconds(5));
        assert!(!lead.is_wanted() && !lead.is_held() && has_come(lead.lost()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_not_able_does_not_ask_for_it() {
        let lead = Lead::of_many();
        lead.set_able(false);
        lead.learn(in_seconds(5));
        assert!(!lead.is_wanted() && !lead.is_held());
        lead.set_able(true);
        lead.learn(in_seconds(5));
        assert!(lead.is_wanted() && lead.is_held());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_alone_has_it_until_the_stop() {
        let lead = Lead::of_one();
        advance(Duration::from_secs(3600)).await;
        assert!(lead.is_held() && has_come(lead.held()).await && !has_come(lead.lost()).await);
        lead.resign();
        assert!(!lead.is_held());
    }
}
