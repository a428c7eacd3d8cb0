//! A node's side: what it has of one account, and what it says to the account's pool.
//!
//! Nothing here waits or sends. Requests take and settle; whoever carries letters asks for the next one with
//! [`Holder::letter`] when [`Holder::due`] says so, and brings what comes back.
//!
//! Invariant: the ceiling is never above the one that the pool knows.

mod due;
mod lack;

use std::{mem, time::Duration};

pub use self::lack::Lack;
use super::{Ask, LASTS, Letter, RECENT, Reply, Rest, pace::Pace};

/// How long an answer to a question is waited for that has all of what others did.
const CURIOUS: Duration = Duration::from_millis(500);

/// For so long after a shortage hardly more is asked for than requests wait for.
const TIGHT: Duration = Duration::from_secs(1);

/// What a node has of one account in one window. Times are those of any clock that goes on, from any beginning.
#[derive(Debug, Default)]
pub struct Holder {
    spent: u64,
    held: u64,
    ceiling: u64,
    /// From then on nothing is taken.
    ends: Duration,
    turn: u64,
    sent: Option<Sent>,
    /// What the pool has been told last: charged, held, ceiling.
    told: (u64, u64, u64),
    told_at: Duration,
    /// Of the first request that it was not told of.
    changed_at: Duration,
    need: Need,
    pace: Pace,
    last_take: Duration,
    last_cost: u64,
    granted_at: Duration,
    rest: Rest,
    /// What there is besides is known, and no older than this.
    heard_at: Option<Duration>,
    /// Somebody waited in vain: until then nobody waits for as many units.
    in_vain: Option<(Duration, u64)>,
    /// The last question was answered with nothing, which came at this time.
    short: Option<Duration>,
    tight_until: Duration,
    is_recalled: bool,
    is_stopped: bool,
    /// The limit was lowered, and the pool was not told.
    is_lowered: bool,
    /// Somebody wants to know what others have used, until then.
    curious_until: Option<Duration>,
    /// The last answer to that did not have all of it, and came at this time.
    behind: Option<Duration>,
    /// What others have used is known, and no older than this.
    caught_up_at: Option<Duration>,
    /// Others want to know what is used here.
    is_asked_about: bool,
    latest: Duration,
}

/// A letter that is not answered.
#[derive(Debug)]
struct Sent {
    letter: Letter,
    /// No answer is older, and the lease counts from here.
    first: Duration,
    latest: Duration,
}

/// What requests have asked for in vain since the last question.
#[derive(Debug, Default)]
struct Need {
    /// The cost of the cheapest; 0 while nobody waits.
    least: u64,
    all: u64,
}

impl Holder {
    /// Begins with what is known to be used, and with a turn that is higher than any that the pool has heard of
    /// this node's process.
    pub fn new(used: u64, turn: u64) -> Self {
        Self { turn, rest: Rest { used, ..Rest::default() }, ..Self::default() }
    }

    /// Tells whether a request of this cost can be served. What costs nothing always is.
    pub fn fits(&self, cost: u64, now: Duration) -> bool {
        cost == 0 || (now < self.ends && !self.is_stopped && cost <= self.room())
    }

    /// Takes the cost of a request that fits.
    pub fn take(&mut self, cost: u64, now: Duration) {
        if self.is_told() {
            self.changed_at = now;
        }
        self.held = self.held.saturating_add(cost);
        if cost > 0 {
            self.pace.note(cost, now);
            (self.last_take, self.last_cost) = (now, cost);
        }
    }

    /// Books the end of a request that took `cost`. A charge may be more: a debt, where nothing is left for it.
    pub fn settle(&mut self, cost: u64, charge: u64) {
        debug_assert!(self.held >= cost, "more is settled than was held");
        self.held = self.held.saturating_sub(cost);
        self.spent = self.spent.saturating_add(charge);
    }

    /// Gives back what nobody holds, since somebody waits for it elsewhere.
    pub fn recall(&mut self, now: Duration) {
        // Also where nothing is left any more the pool is told, if it takes that for more.
        self.is_recalled = self.sent.is_some() || self.room() > 0 || self.is_thought_to_have();
        self.tight_until = now.saturating_add(TIGHT);
    }

    /// Notes that what is used was corrected, or that a limit was changed, so that all may not be used up.
    pub fn correct(&mut self, used: impl Fn(u64) -> u64) {
        let all = self.spent.saturating_add(self.rest.used);
        self.rest.used = used(all).saturating_sub(self.spent);
        (self.short, self.heard_at) = (None, None);
    }

    /// Keeps nothing of what was granted by a limit that was lowered: the pool is asked by the new one.
    pub fn lower(&mut self) {
        (self.is_lowered, self.is_recalled) = (self.sent.is_some(), true);
        self.ceiling = self.ceiling.min(self.taken());
        (self.short, self.heard_at) = (None, None);
    }

    /// Asks for what others have used, unless that is known well enough.
    pub fn ask_about(&mut self, now: Duration) -> bool {
        let is_known = self.caught_up_at.is_some_and(|at| now < at.saturating_add(RECENT));
        if !is_known && self.curious_until.is_none() {
            self.curious_until = Some(now.saturating_add(CURIOUS));
        }
        !is_known
    }

    /// Says what is used here, since others want to know it: unless nothing can have changed, or it was said just now.
    pub fn report(&mut self, now: Duration) {
        let is_recent = self.sent.is_some() || now < self.told_at.saturating_add(RECENT);
        self.is_asked_about |= !is_recent && (self.is_thought_to_have() || self.told.1 > 0);
    }

    /// Takes nothing from here on, and gives back what is left: the window is over, or the node ends.
    pub fn stop(&mut self) {
        self.is_stopped = true;
        self.need = Need::default();
    }

    /// Gives what is to be said now, if anything is.
    pub fn letter(&mut self, limit: u64, now: Duration) -> Option<Letter> {
        self.follow(now);
        if self.due(now)? > now {
            return None;
        }
        if let Some(sent) = &mut self.sent {
            sent.latest = now;
            return Some(sent.letter);
        }
        let ask = self.wish(now);
        // None of what is left is enough for who waits: with what is free it may be.
        if self.need.least > 0 || now >= self.keeps_until() {
            self.ceiling = self.ceiling.min(self.taken());
        }
        if ask.is_some() {
            self.need = Need::default();
        }
        (self.is_recalled, self.is_asked_about) = (false, false);
        self.turn = self.turn.saturating_add(1);
        let is_question = ask.is_none() && self.curious_until.is_some();
        let Self { turn, spent, held, ceiling, .. } = *self;
        let letter = Letter { turn, limit, spent, held, ceiling, ask, is_question };
        self.sent = Some(Sent { letter, first: now, latest: now });
        Some(letter)
    }

    /// Acts on a reply. One to an older letter says nothing new.
    pub fn receive(&mut self, reply: &Reply, now: Duration) {
        self.follow(now);
        let Reply { turn, granted, lasts, rest, is_behind } = *reply;
        let Some(Sent { letter, first, .. }) = self.sent.take_if(|sent| sent.letter.turn == turn)
        else {
            return;
        };
        let raised = letter.ceiling.saturating_add(granted);
        self.ceiling = if self.is_lowered { raised.min(self.taken()) } else { raised };
        self.ends = first.saturating_add(lasts);
        self.told = (letter.spent, letter.held, raised);
        self.told_at = first;
        let is_known = !mem::take(&mut self.is_lowered);
        (self.rest, self.heard_at) = (rest, is_known.then_some(first));
        self.is_recalled &= self.is_thought_to_have();
        // Whoever waits looks again now.
        self.need = Need::default();
        // Where others have something left and do not give it back nothing is new.
        if granted > 0 || rest.left == 0 || self.in_vain.is_some_and(|(_, units)| units == 0) {
            self.in_vain = None;
        }
        if letter.is_question {
            self.learn(is_behind, first, now);
        }
        if letter.ask.is_some() {
            self.short = (granted == 0).then_some(now);
            if granted == 0 {
                self.tight_until = now.saturating_add(TIGHT);
            } else {
                self.granted_at = now;
            }
        }
    }

    /// Asks again where others were yet to say what they did.
    fn learn(&mut self, is_behind: bool, asked_at: Duration, now: Duration) {
        self.behind = is_behind.then_some(now);
        if !is_behind {
            self.caught_up_at = Some(asked_at);
        }
        if !is_behind || self.curious_until.is_some_and(|until| until <= now) {
            self.curious_until = None;
        }
    }

    /// Gives how much may be taken without asking.
    pub fn left(&self, now: Duration) -> u64 {
        if now < self.ends && !self.is_stopped { self.room() } else { 0 }
    }

    /// Gives what this process has charged.
    pub fn spent(&self) -> u64 {
        self.spent
    }

    /// Gives what requests in flight hold.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Gives what the account had besides, when that was last heard.
    pub fn rest(&self) -> &Rest {
        &self.rest
    }

    /// Tells whether nothing can come of it any more and all is told.
    pub fn is_over(&self) -> bool {
        self.is_stopped && self.has_said_all()
    }

    /// Tells whether it has nothing, and all that it had is told.
    pub fn has_said_all(&self) -> bool {
        let Self { spent, held, ceiling, ref sent, told, .. } = *self;
        sent.is_none() && held == 0 && ceiling <= spent && told.0 == spent && told.1 == 0
    }

    fn taken(&self) -> u64 {
        self.spent.saturating_add(self.held)
    }

    fn room(&self) -> u64 {
        self.ceiling.saturating_sub(self.taken())
    }

    /// Tells whether the pool knows all of what there is to know.
    pub(in crate::ledger) fn is_told(&self) -> bool {
        (self.spent, self.held, self.ceiling) == self.told
    }

    /// Tells whether the pool takes something for left here.
    fn is_thought_to_have(&self) -> bool {
        let (spent, held, ceiling) = self.told;
        ceiling > spent.saturating_add(held)
    }

    /// Follows a clock that was set back: what was to happen at a time of before happens now.
    fn follow(&mut self, now: Duration) {
        if now < self.latest {
            let Self { told_at, changed_at, last_take, granted_at, .. } = self;
            for time in [told_at, changed_at, last_take, granted_at] {
                *time = now.min(*time);
            }
            self.ends = self.ends.min(now.saturating_add(LASTS));
            if let Some(sent) = &mut self.sent {
                (sent.first, sent.latest) = (now.min(sent.first), now.min(sent.latest));
            }
            (self.short, self.heard_at, self.caught_up_at) = (None, None, None);
            (self.tight_until, self.in_vain) = (now, None);
            (self.behind, self.curious_until) = (None, self.curious_until.map(|_| now));
        }
        self.latest = now;
    }
}

#[cfg(test)]
impl Holder {
    /// Gives what is charged, held, and may be taken by the ceiling.
    pub(crate) fn state(&self) -> (u64, u64, u64) {
        (self.spent, self.held, self.room())
    }
}
