//! A node's side: what it has of one account, and what it says to the account's pool.
//!
//! Nothing here waits or sends. Requests take and settle; whoever carries letters asks for the next one with
//! [`Holder::letter`] when [`Holder::due`] says so, and brings what comes back.
//!
//! Invariant: the ceiling is never above the one that the pool knows.

use std::{mem, time::Duration};

use super::{Ask, LASTS, Letter, Reply, Rest, pace::Pace};

/// For how many seconds of the present pace a lease is to last.
const AHEAD: u64 = 5;

/// Who comes once often comes again: so many times what is waited for is asked for where little is known.
const FEW: u64 = 4;

/// What is left goes back when nothing was taken for so long.
const IDLE: Duration = Duration::from_millis(500);

/// Little is kept until the lease's end, so that who calls now and then waits for nobody and causes one letter and
/// not two. Little is one in so many units of what is free. Whoever lacks it recalls it.
const LITTLE: u64 = 64;

/// For so long little is kept: the pool hears of it before the lease ends.
const KEPT: Duration = Duration::from_secs(LASTS.as_secs() * 3 / 4);

/// For so long what was granted is not given back, so that requests that waited for it find it.
const GRACE: Duration = Duration::from_millis(20);

/// How long an answer is waited for before the same is asked again.
const AGAIN: Duration = Duration::from_millis(250);

/// How old what the pool knows may be.
pub(in crate::ledger) const REPORT: Duration = Duration::from_millis(900);

/// How long nothing is said while a long request holds something.
const RENEWAL: Duration = Duration::from_secs(LASTS.as_secs() / 3);

/// Between two questions that wait for others to give back.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a request waits for others to give back before it is told that they do not.
const RECALL: Duration = Duration::from_millis(800);

/// For so long behind a request that waited in vain others are told so at once, unless something is heard.
const IN_VAIN: Duration = Duration::from_secs(2);

/// How long a request waits for an answer at all.
const PATIENCE: Duration = Duration::from_millis(1000);

/// For so long it is believed that an account is used up of which nothing is out. What changes that is told.
const USED_UP: Duration = Duration::from_secs(1);

/// And for so long where requests in flight hold something, which may come back with each of them: who is refused
/// asks all the time.
const HELD: Duration = Duration::from_millis(100);

/// For so long after a shortage hardly more is asked for than requests wait for.
const TIGHT: Duration = Duration::from_secs(1);

/// Why a request gets nothing now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lack {
    /// Whether there is something is not known: somebody who has some, or the pool, is silent.
    Unavailable,
    /// All is used, or held by requests in flight.
    UsedUp,
    /// There is more to say with the next reply, or after a pause.
    Wait,
}

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
    /// Somebody wants to know what others have used.
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

    /// Tells why a request that came at `arrived` does not fit.
    pub fn lack(&mut self, cost: u64, arrived: Duration, now: Duration) -> Lack {
        // What is left here, and is not enough, goes back when more is asked for.
        let missing = cost.saturating_sub(self.room());
        let lack = self.reason(missing, arrived, now);
        match (lack, self.in_vain) {
            (Lack::Wait, Some((until, units))) if now < until && missing >= units => {
                return Lack::Unavailable;
            }
            (Lack::Unavailable, _) => {
                // Where nothing at all is answered, also what is free does not come.
                let units = if self.rest.free < missing { missing } else { 0 };
                self.in_vain = Some((now.saturating_add(IN_VAIN), units));
            }
            _ => {}
        }
        lack
    }

    fn reason(&self, missing: u64, arrived: Duration, now: Duration) -> Lack {
        if self.is_stopped {
            return Lack::Unavailable;
        }
        if let Some(heard_at) = self.heard_at
            && self.rest.free < missing
        {
            if self.is_known(arrived, now) && !self.rest.is_enough(missing) {
                return Lack::UsedUp;
            }
            if heard_at >= arrived.saturating_add(RECALL) {
                return Lack::Unavailable;
            }
        }
        if now >= arrived.saturating_add(PATIENCE) { Lack::Unavailable } else { Lack::Wait }
    }

    /// Gives what a request that came at `arrived` finds at most, here and elsewhere; `None` where that is not known.
    /// That nothing was left elsewhere is believed for `patience` at least.
    pub fn most(&self, arrived: Duration, now: Duration, patience: Duration) -> Option<u64> {
        let Rest { free, left, .. } = self.rest;
        let elsewhere = free.saturating_add(left);
        let is_drained = elsewhere == 0
            && self.heard_at.is_some_and(|heard_at| now < heard_at.saturating_add(patience));
        let is_known = is_drained || self.is_known(arrived, now);
        is_known.then(|| self.room().saturating_add(elsewhere))
    }

    /// Notes that a request waits. It asks again when a reply has come, and after some milliseconds.
    pub fn wait(&mut self, cost: u64) {
        let Need { least, all } = self.need;
        let least = if least == 0 { cost } else { least.min(cost) };
        self.need = Need { least, all: all.saturating_add(cost) };
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
        let is_known = self.heard_at.is_some_and(|at| now < at.saturating_add(REPORT));
        self.is_asked_about |= !is_known;
        !is_known
    }

    /// Takes nothing from here on, and gives back what is left: the window is over, or the node ends.
    pub fn stop(&mut self) {
        self.is_stopped = true;
        self.need = Need::default();
    }

    /// Gives when there is something to be said, if nothing happens before; at once for a time that has passed.
    /// `None` while there is nothing to say.
    pub fn due(&self, now: Duration) -> Option<Duration> {
        if let Some(sent) = &self.sent {
            return Some(sent.latest.saturating_add(AGAIN));
        }
        let mut due = None;
        let mut at = |time: Duration| due = Some(due.map_or(time, |due: Duration| due.min(time)));
        if self.is_asked_about {
            at(Duration::ZERO);
        }
        if self.need.least > 0 {
            let paused = self.short.filter(|_| self.rest.left > 0);
            at(paused.map_or(Duration::ZERO, |came| came.saturating_add(PAUSE)));
        }
        if self.is_low(now) {
            at(Duration::ZERO);
        }
        if self.room() > 0 {
            // What a request did not cost is for all, and others ask for it only where they hear of it.
            at(if self.is_thought_to_have() { self.keeps_until() } else { Duration::ZERO });
        } else if self.is_recalled && self.is_thought_to_have() {
            at(Duration::ZERO);
        }
        if !self.is_told() {
            let last = self.told_at.max(self.changed_at);
            at(if self.is_stopped { Duration::ZERO } else { last.saturating_add(REPORT) });
        } else if self.held > 0 {
            // The pool hears of it all the same, so that it is not taken for lost while a request lasts.
            at(self.told_at.saturating_add(RENEWAL));
        }
        due
    }

    /// Tells whether there is something to be said at once.
    pub fn is_urgent(&self, now: Duration) -> bool {
        self.sent.is_none() && (self.need.least > 0 || self.is_low(now))
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
        let Self { turn, spent, held, ceiling, .. } = *self;
        let letter = Letter { turn, limit, spent, held, ceiling, ask };
        self.sent = Some(Sent { letter, first: now, latest: now });
        Some(letter)
    }

    /// Acts on a reply. One to an older letter says nothing new.
    pub fn receive(&mut self, reply: &Reply, now: Duration) {
        self.follow(now);
        let Reply { turn, granted, lasts, rest } = *reply;
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
        if letter.ask.is_some() {
            self.short = (granted == 0).then_some(now);
            if granted == 0 {
                self.tight_until = now.saturating_add(TIGHT);
            } else {
                self.granted_at = now;
            }
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

    /// Tells whether what there is besides was heard behind `arrived`, or is believed still.
    fn is_known(&self, arrived: Duration, now: Duration) -> bool {
        let is_known = |at: Duration| at >= arrived || now < at.saturating_add(self.believes());
        self.heard_at.is_some_and(is_known)
    }

    /// For how long it is believed that there is nothing, once that was heard.
    fn believes(&self) -> Duration {
        match (self.rest.left, self.rest.held.saturating_add(self.held)) {
            (0, 0) => USED_UP,
            (0, _) => HELD,
            _ => Duration::ZERO,
        }
    }

    /// Until when what is left is kept.
    fn keeps_until(&self) -> Duration {
        if self.is_stopped {
            return Duration::ZERO;
        }
        if self.is_recalled {
            return self.granted_at.saturating_add(GRACE);
        }
        let is_little = self.room() <= self.rest.free / LITTLE;
        let patience = if is_little { KEPT } else { IDLE };
        self.last_take.max(self.granted_at).saturating_add(patience).min(self.ends)
    }

    /// Tells whether what is left is spent soon.
    fn is_low(&self, now: Duration) -> bool {
        let pace = self.pace.per_second(now);
        let is_busy = now < self.last_take.saturating_add(IDLE);
        let is_tight = now < self.tight_until || self.is_stopped || self.is_recalled;
        !is_tight && is_busy && pace > 0 && self.left(now) < pace
    }

    /// Says what is to be asked for now.
    fn wish(&self, now: Duration) -> Option<Ask> {
        if self.is_stopped {
            return None;
        }
        let is_tight = now < self.tight_until;
        let ahead = self.pace.per_second(now).saturating_mul(AHEAD);
        let Need { least, all } = self.need;
        if least > 0 {
            let ahead = ahead.max(least.saturating_mul(FEW));
            let ahead = if is_tight { ahead.min(self.rest.free / LITTLE) } else { ahead };
            return Some(Ask { least, wanted: all.max(ahead), is_waited_for: true });
        }
        let least = self.last_cost.max(1);
        self.is_low(now).then_some(Ask { least, wanted: ahead.max(least), is_waited_for: false })
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
            (self.short, self.heard_at) = (None, None);
            (self.tight_until, self.in_vain) = (now, None);
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
