//! What the thread does: it gathers letters, makes the trip, and hands out the replies.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use tokio::time::Instant;

use super::{Orders, schedule::Schedule};
use crate::{
    gateway::Gateway,
    ledger::{Accounts, Listed, Post, id_of},
    nodes::Membership,
    store::{Addressed, Booked, Leases, Lost, StoreError},
};

/// So many letters make a trip at most: one that is too long keeps others waiting.
const TOGETHER: usize = 1000;

/// How often is looked for leases whose nodes are silent.
const EXPIRE: Duration = Duration::from_secs(2);

/// So many of them are taken for lost at once.
const EXPIRED_MAX: usize = 1000;

/// How long the thread waits for something to do at most.
const PATIENCE: Duration = Duration::from_millis(500);

/// So long letters wait for company for which nobody waits: a trip costs as much as dozens of letters in it.
const COMPANY: Duration = Duration::from_millis(50);

/// Between two trips that fail.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the last words of a node that ends may take.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What the thread has.
pub(super) struct Round {
    gateway: Arc<Gateway>,
    post: Arc<Post>,
    leases: Leases,
    membership: Arc<Membership>,
    schedule: Schedule,
    bag: Bag,
    expires_at: Instant,
    /// When the last words are to be said, while the node ends.
    ends_at: Option<Instant>,
}

/// Letters, with those who wrote them.
#[derive(Default)]
struct Bag {
    letters: Vec<Addressed>,
    writers: Vec<Arc<Accounts>>,
    /// Where the writers are: of an account there is one letter in a trip.
    known: HashSet<usize>,
    /// Somebody waits for what is said.
    is_urgent: bool,
}

impl Round {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        post: Arc<Post>,
        leases: Leases,
        membership: Arc<Membership>,
    ) -> Self {
        let now = Instant::now();
        let (schedule, bag) = (Schedule::new(now), Bag::default());
        Self {
            gateway,
            post,
            leases,
            membership,
            schedule,
            bag,
            expires_at: now + EXPIRE,
            ends_at: None,
        }
    }

    pub(super) fn run(mut self, orders: &Orders) {
        while !orders.is_abandoned.load(Ordering::Acquire) {
            if orders.is_ending.load(Ordering::Acquire) && !self.says_last_words() {
                return;
            }
            self.gather();
            if self.bag.letters.is_empty() {
                self.bag.is_urgent = false;
                self.expire();
                continue;
            }
            if !self.trip() {
                return;
            }
            self.expire();
        }
    }

    /// Begins to give everything back, and tells whether there is still something to say.
    fn says_last_words(&mut self) -> bool {
        let now = Instant::now();
        match self.ends_at {
            None => {
                self.ends_at = Some(now + LAST_WORDS);
                // All of them are listed, and what was to be looked at later is said at once.
                self.schedule = Schedule::new(now);
                let ledger = self.gateway.ledger();
                for id in ledger.ids() {
                    if let Some(accounts) = ledger.find(&id) {
                        accounts.stop_leases();
                    }
                }
                true
            }
            Some(ends_at) => now < ends_at && !self.schedule.is_empty(),
        }
    }

    /// Waits for who has something to say, and gathers what that is.
    fn gather(&mut self) {
        let next = match self.bag.letters.is_empty() {
            true => self.schedule.next(Instant::now()).unwrap_or(PATIENCE).min(PATIENCE),
            false => Duration::ZERO,
        };
        let listed = self.post.take(next);
        self.ask_all(listed);
        if self.waits_for_company() {
            let listed = self.post.take_when_urgent(COMPANY);
            self.ask_all(listed);
        }
    }

    fn waits_for_company(&self) -> bool {
        let Bag { letters, is_urgent, .. } = &self.bag;
        !letters.is_empty() && letters.len() < TOGETHER && !is_urgent && self.ends_at.is_none()
    }

    /// Gathers what those have to say who are listed, and those who were to be looked at by now.
    fn ask_all(&mut self, listed: Listed) {
        self.bag.is_urgent |= listed.is_urgent;
        listed.accounts.into_iter().for_each(|accounts| self.ask_soon(accounts));
        while self.bag.letters.len() < TOGETHER
            && let Some(due) = self.schedule.take(Instant::now())
        {
            let now = self.gateway.clock().now();
            due.into_iter().filter(|one| one.has_letters(now)).for_each(|one| self.ask_soon(one));
        }
    }

    /// Asks now, or for the next trip where this one has enough.
    fn ask_soon(&mut self, accounts: Arc<Accounts>) {
        if self.bag.letters.len() < TOGETHER {
            self.ask(accounts);
        } else {
            self.schedule.put(accounts, Duration::ZERO, Instant::now());
        }
    }

    /// Asks what accounts have to say, and when they have more.
    fn ask(&mut self, accounts: Arc<Accounts>) {
        // What a customer had who was removed is gone, and another one may have its id.
        let id = id_of(accounts.id());
        if !self.gateway.ledger().find(id).is_some_and(|known| Arc::ptr_eq(&known, &accounts)) {
            return;
        }
        // What it has to say besides is said behind the reply.
        if self.bag.known.contains(&Arc::as_ptr(&accounts).addr()) {
            return;
        }
        let (letters, due) = accounts.letters(self.gateway.clock().now());
        if !letters.is_empty() {
            self.bag.known.insert(Arc::as_ptr(&accounts).addr());
        }
        for (account, letter) in letters {
            let is_waited_for = letter.ask.is_some_and(|ask| ask.is_waited_for);
            self.bag.is_urgent |= is_waited_for || letter.is_question;
            let customer = id.into();
            self.bag.letters.push(Addressed { customer, account, letter });
            self.bag.writers.push(Arc::clone(&accounts));
        }
        if let Some(due) = due {
            self.schedule.put(accounts, due, Instant::now());
        }
    }

    /// Carries what is gathered, and hands out the replies. `false` where nobody listens to this process any more.
    fn trip(&mut self) -> bool {
        let Bag { letters, writers, known: _, is_urgent: _ } = mem::take(&mut self.bag);
        let Membership { node, run, .. } = *self.membership;
        let began = Instant::now();
        let replies = match self.leases.exchange(node, run, &letters, None) {
            Ok(Some(replies)) => replies,
            Ok(None) => {
                self.end_all();
                return false;
            }
            Err(error) => {
                self.fail(&error);
                return true;
            }
        };
        self.reached();
        let counted = self.gateway.metrics().leases();
        counted.trips.take(began.elapsed());
        counted.letters.add(u64::try_from(letters.len()).unwrap_or(0));
        let now = self.gateway.clock().now();
        for ((sent, accounts), reply) in letters.iter().zip(&writers).zip(replies) {
            if let Some(reply) = reply {
                accounts.receive(&sent.account, &reply, now);
            }
        }
        // What a reply brought may be too little for who waits, or all that there was to be said.
        writers.into_iter().for_each(|accounts| self.ask(accounts));
        true
    }

    fn reached(&self) {
        if self.post.is_away() {
            self.post.set_away(false);
            tracing::info!("leases are granted again");
        }
    }

    /// Lets nobody wait while the store is away. The same is said again, since each letter stays due.
    fn fail(&mut self, error: &StoreError) {
        self.gateway.metrics().leases().failures.add(1);
        if !self.post.is_away() {
            self.post.set_away(true);
            tracing::error!(
                error = error as &dyn std::error::Error,
                "no leases are granted: what is held is spent, and then callers are answered 503"
            );
        }
        self.expires_at = Instant::now() + PATIENCE;
        thread::sleep(PAUSE);
    }

    /// Ends all leases of this process: another one has taken its place, or the node was forgotten.
    fn end_all(&self) {
        tracing::error!(
            "the other nodes do not count this one any more: it answers 503 until it is started anew"
        );
        self.post.set_away(true);
        let ledger = self.gateway.ledger();
        for accounts in ledger.ids().iter().filter_map(|id| ledger.find(id)) {
            accounts.stop_leases();
        }
    }

    /// Takes the leases of nodes for lost that have been silent for too long. By that it is also found out that the
    /// server is back, so that nobody is refused before.
    fn expire(&mut self) {
        let now = Instant::now();
        if now < self.expires_at {
            return;
        }
        self.expires_at = now + if self.post.is_away() { PATIENCE } else { EXPIRE };
        match self.leases.expire(EXPIRED_MAX, None) {
            Ok(lost) => {
                self.reached();
                for Lost { node, booked: Booked { customer, account, units } } in lost {
                    let quota = &*account.quota;
                    tracing::warn!(
                        node,
                        customer,
                        quota,
                        units,
                        "a node is silent: what it held counts as used until it is heard of"
                    );
                }
            }
            Err(error) => self.fail(&error),
        }
    }
}
