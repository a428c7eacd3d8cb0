//! A network between nodes and database that holds everything back, cuts connections, or is slow, under load.

use std::thread;

use super::{
    callers::{assert_only, count, last},
    *,
};
use crate::support::{Schema, postgres::server};

/// From the database's return to the last 503.
pub(super) const NORMAL: Duration = Duration::from_secs(5);

/// Between two questions of a caller while the database is there.
const PAUSE: Duration = Duration::from_millis(20);

/// How long callers ask before anything happens.
const BEFORE: Duration = Duration::from_secs(1);

/// How long nothing arrives: some attempts of nodes to reach the database run out of time.
pub(super) const STILL: Duration = Duration::from_secs(4);

const ALL: &[usize] = &[0, 1, 2];

/// Nodes under load whose database goes away and comes back.
pub(super) struct Away<'a> {
    schema: &'a Schema,
    pub(super) rig: Rig,
    callers: Callers,
    began: Instant,
}

impl<'a> Away<'a> {
    /// Starts nodes that reach the database by a URL, and callers.
    pub(super) fn start(schema: &'a Schema, url: &str) -> Self {
        Self::start_with(&Plan::of(ENDLESS), schema, url)
    }

    fn start_with(plan: &Plan, schema: &'a Schema, url: &str) -> Self {
        let rig = Rig::start(plan, url);
        let callers = Callers::start(&rig, 4, "/one/x", KEY, Ends::Told);
        callers.set_pause(PAUSE);
        thread::sleep(BEFORE);
        assert_only(&callers.since(Instant::now() - BEFORE), &[Got::Served]);
        Self { schema, rig, callers, began: Instant::now() }
    }

    /// Notes that the database is away from now on: all that is held is spent, and not a unit more.
    pub(super) fn wait_spent(&mut self, what: &str) {
        self.began = Instant::now();
        self.callers.set_pause(Duration::ZERO);
        self.callers.wait_only(Got::Unavailable, ALL);
        let seen = self.callers.since(self.began);
        let first = seen.iter().find(|seen| seen.got == Got::Unavailable).unwrap();
        println!(
            "{what}: {} served by what was held, the first 503 after {:?}, nothing else after {:?}",
            count(&seen, Got::Served),
            first.at - self.began,
            last(&seen, Got::Served, self.began),
        );
        self.callers.set_pause(PAUSE);
    }

    /// Compares what was served with what the database, which the test can reach, has given out.
    pub(super) fn assert_within_leases(&self) {
        let out = "SELECT (SELECT sum(used) FROM pools)
            + (SELECT sum(greatest(ceiling - spent, held)) FROM leases)";
        let out = self.schema.ask(out).parse::<u64>().unwrap().div_ceil(self.rig.plan.cost());
        let received = self.rig.received();
        println!("{received} received, {out} given out");
        assert!(received <= out, "{received} received, {out} given out");
    }

    /// Notes that the database is back, and looks at how long it takes until all is as before.
    pub(super) fn wait_normal(&self, what: &str) {
        let returned = Instant::now();
        let ready = || self.rig.nodes.iter().all(|node| node.gateway().is_ready());
        wait_for("readiness", || ready().then_some(()));
        println!("{what}: ready {:?} behind the return", returned.elapsed());
        thread::sleep((NORMAL + BEFORE).saturating_sub(returned.elapsed()));
        let seen = self.callers.since(returned);
        let last = last(&seen, Got::Unavailable, returned);
        println!(
            "{what}: the last 503 {last:?} behind the return, {} served since then",
            count(&seen, Got::Served)
        );
        assert!(last < NORMAL, "{last:?}");
        assert!(ready());
        let later = self.callers.since(returned + NORMAL);
        assert!(ALL.iter().all(|node| later.iter().any(|seen| seen.node == *node)));
        assert_only(&later, &[Got::Served]);
    }

    /// Ends the callers and compares what they got with the books.
    pub(super) fn end(self, what: &str) {
        let Self { schema, mut rig, callers, .. } = self;
        let seen = callers.stop();
        let (served, received) = (count(&seen, Got::Served), rig.received());
        println!("{what}: {served} served, {} answers 503", count(&seen, Got::Unavailable));
        assert_only(&seen, &[Got::Served, Got::Unavailable]);
        assert_eq!(served, received);
        rig.wait_used("acme", received);
        rig.verify();
        rig.stop(schema, received);
    }
}

fn by_relay(test: impl FnOnce(&Relay, Away<'_>)) {
    by_relay_with(&Plan::of(ENDLESS), test);
}

fn by_relay_with(plan: &Plan, test: impl FnOnce(&Relay, Away<'_>)) {
    let schema = Schema::new();
    let relay = Relay::start(server().parse().unwrap());
    let url = schema.url_at(&relay.address.to_string());
    let away = Away::start_with(plan, &schema, &url);
    test(&relay, away);
}

fn freeze(relay: &Relay, mut away: Away<'_>) {
    relay.set(Mode::Frozen);
    away.wait_spent("frozen");
    thread::sleep(STILL);
    away.assert_within_leases();
    relay.set(Mode::Pass);
    away.wait_normal("frozen");
    away.end("frozen");
}

#[test]
fn nothing_that_is_said_arrives_and_then_all_of_it_at_once() {
    by_relay(freeze);
}

#[test]
fn nobody_is_told_that_there_is_no_money_while_nothing_that_is_said_arrives() {
    by_relay_with(&Plan::paid(ENDLESS), freeze);
}

#[test]
fn connections_are_cut_and_none_is_made_for_a_while() {
    by_relay(|relay, mut away| {
        relay.set(Mode::Down);
        away.wait_spent("cut");
        away.assert_within_leases();
        relay.set(Mode::Pass);
        away.wait_normal("cut");
        away.end("cut");
    });
}

/// Each connection is made anew at once, so nobody notices.
#[test]
fn connections_are_cut_again_and_again() {
    by_relay(|relay, away| {
        for _ in 0..8 {
            relay.set(Mode::Down);
            relay.set(Mode::Pass);
            thread::sleep(Duration::from_millis(300));
        }
        away.wait_normal("cut again and again");
        away.end("cut again and again");
    });
}

#[test]
fn answers_that_are_slow_are_waited_for_by_nobody_whose_units_are_held() {
    by_relay(|relay, away| {
        relay.set(Mode::Slow);
        let slow = Instant::now();
        away.callers.set_pause(Duration::from_millis(2));
        thread::sleep(Duration::from_secs(4));
        let seen = away.callers.since(slow);
        let times = callers::median_and_99(seen.iter().map(|seen| seen.took).collect());
        println!(
            "slow: {} answers, half of them within {:?}, 99 of 100 within {:?}",
            seen.len(),
            times.0,
            times.1
        );
        assert_only(&seen, &[Got::Served]);
        away.end("slow");
    });
}
