//! Accounts that several nodes share: what whoever carries letters asks of them, and how a request waits for what
//! comes back.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    AccountId, Accounts, Limits,
    lease::{Letter, Reply},
    state::moment,
};

impl Accounts {
    /// Gives what is to be said of each account now, and how long it is until there is more; `None` where
    /// there is nothing until something happens. Then they are listed with the [`super::Post`] again.
    pub fn letters(&self, now: Timestamp) -> (Vec<(AccountId, Letter)>, Option<Duration>) {
        let (letters, due) = self.lock().letters(now);
        (letters, due.map(|due| due.saturating_sub(moment(now))))
    }

    /// Tells whether what was due by now is not said yet.
    pub fn has_letters(&self, now: Timestamp) -> bool {
        self.lock().is_looked_at(moment(now))
    }

    /// Acts on a reply to a letter, and wakes those who wait for one.
    pub fn receive(&self, account: &AccountId, reply: &Reply, now: Timestamp) {
        let woken = self.lock().receive(account, reply, now);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Gives back what nobody holds of an account, since somebody waits for it on another node.
    pub fn recall(self: &Arc<Self>, account: &AccountId, now: Timestamp) {
        let mut state = self.lock();
        state.recall(account, now);
        let is_to_be_listed = state.is_to_be_listed_at_once();
        drop(state);
        self.hurry(is_to_be_listed);
    }

    /// Says what is used of an account here, since somebody wants to know it on another node.
    pub fn report(self: &Arc<Self>, account: &AccountId, now: Timestamp) {
        let mut state = self.lock();
        state.report(account, now);
        let is_to_be_listed = state.is_to_be_listed_at_once();
        drop(state);
        self.hurry(is_to_be_listed);
    }

    /// Takes nothing from here on, and says so: the node ends.
    pub fn stop_leases(self: &Arc<Self>) {
        let mut state = self.lock();
        let woken = state.stop_leases();
        let is_to_be_listed = state.is_to_be_listed_at_once();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        self.hurry(is_to_be_listed);
    }

    /// Asks what other nodes have used of the accounts that these limits mean, unless that is known well enough.
    /// Gives what [`Accounts::hearing`] waits behind; `None` where there is nothing to wait for.
    pub fn inquire(self: &Arc<Self>, limits: &Arc<Limits>, now: Timestamp) -> Option<u64> {
        let post = self.post()?;
        let mut state = self.lock();
        if !state.ask_about(self.id(), limits, now) {
            return None;
        }
        let (heard, is_to_be_listed) = (state.heard(), state.is_to_be_listed_at_once());
        drop(state);
        self.hurry(is_to_be_listed);
        (!post.is_away()).then_some(heard)
    }

    /// Waits until something is heard since the count that [`super::Lacking::Wait`] has.
    pub fn hearing(&self, since: u64) -> Hearing<'_> {
        Hearing { accounts: self, since }
    }

    pub(super) fn list(self: &Arc<Self>, is_to_be_listed: bool) {
        if let Some(post) = self.post().filter(|_| is_to_be_listed) {
            post.list(Arc::clone(self));
        }
    }

    /// Says at once what there is to say, since somebody waits for it.
    pub(super) fn hurry(self: &Arc<Self>, is_to_be_listed: bool) {
        if let Some(post) = self.post() {
            post.hurry(is_to_be_listed.then(|| Arc::clone(self)));
        }
    }
}

/// Ends when something is heard.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Hearing<'a> {
    accounts: &'a Accounts,
    since: u64,
}

impl Future for Hearing<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let is_waiting = self.accounts.lock().wake_later(self.since, context.waker());
        if is_waiting { Poll::Pending } else { Poll::Ready(()) }
    }
}
