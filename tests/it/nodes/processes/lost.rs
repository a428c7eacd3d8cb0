//! Nodes that are killed, that stand still, and that come back or do not.

use std::thread;

use super::{
    callers::{assert_only, count, longest_gap},
    rig::Node,
    *,
};
use crate::support::{Schema, wait_until_equal};

/// Which node it is.
const LOST: usize = 1;
const OTHERS: &[usize] = &[0, 2];

/// What others have to go on with.
const NO_PAUSE: Duration = Duration::from_secs(3);

/// Nodes under load, of which one is lost in the middle of it.
struct Scene {
    callers: Callers,
    rig: Rig,
    schema: Schema,
    limit: u64,
    began: Instant,
    /// Of the lost node.
    id: String,
    /// What of the leases of the lost node it has not spent, by its last word.
    unspent: u64,
}

impl Scene {
    /// Loses a node when a third of the limit is spent.
    fn new(plan: &Plan, lose: impl FnOnce(&mut Node)) -> Self {
        let (schema, limit) = (Schema::new(), plan.limit);
        let mut rig = Rig::start(plan, &schema.url());
        let callers = Callers::start(&rig, CONNECTIONS, "/one/x", KEY, Ends::Told);
        wait_for("a third", || (rig.received() >= limit / 3).then_some(()));
        let id = rig.nodes[LOST].id();
        lose(&mut rig.nodes[LOST]);
        let began = Instant::now();
        let mut scene = Self { schema, rig, callers, limit, began, id, unspent: 0 };
        // They have spent all that is not on the one that is lost.
        // Of money what its calls held may be all that is left.
        scene.callers.wait_either(&[Got::Unavailable, Got::InFlight], OTHERS);
        let unspent = scene.number(&format!(
            "SELECT coalesce(sum(greatest(ceiling - spent, held)), 0) FROM leases WHERE node = '{}'",
            scene.id
        ));
        scene.unspent = unspent.div_ceil(plan.cost());
        scene
    }

    fn number(&self, sql: &str) -> u64 {
        self.schema.ask(sql).parse().unwrap()
    }

    /// Looks at what the others have come to by now.
    fn assert_others_spent_the_rest(&self) {
        let seen = self.callers.since(self.began);
        let others: Vec<_> = seen.iter().filter(|seen| seen.node != LOST).copied().collect();
        let answers = [self.rig.plan.answers(), &[Got::Unavailable]].concat();
        assert_only(&others, &answers);
        assert_eq!(count(&others, Got::Refused), 0, "what the lost node had may be there still");
        let last = others.iter().filter(|seen| seen.got == Got::Served).map(|seen| seen.at).max();
        let gaps = [OTHERS[0], OTHERS[1]]
            .map(|node| longest_gap(&others, node, self.began, last.unwrap()));
        let first = others.iter().filter(|seen| seen.got != Got::Served).min_by_key(|seen| seen.at);
        let (received, unspent) = (self.rig.received(), self.unspent);
        let at_first = self.limit - first.unwrap().received;
        println!(
            "limit {}: {received} received, at most {unspent} with the lost node; the others paused for {gaps:?} at \
             most, and were refused for the first time when {at_first} were unspent, then {} times",
            self.limit,
            count(&others, Got::Unavailable),
        );
        assert!(gaps.iter().max().unwrap() < &NO_PAUSE, "{gaps:?}");
        assert!(received <= self.limit);
        assert!(received + unspent >= self.limit, "all that it did not have is spent");
        assert!(unspent < self.limit / 2, "it had {unspent}");
    }

    /// Looks at the end: everything is spent, nobody has more, and what no upstream saw was open at a kill.
    fn end(self) {
        let Self { schema, mut rig, callers, limit, began, .. } = self;
        let recovering = Instant::now();
        callers.wait_only(Got::Refused, &[0, 1, 2]);
        println!("all is spent {:?} behind the return", recovering.elapsed());
        let seen = callers.stop();
        let later: Vec<_> = seen.iter().filter(|seen| seen.at > began).collect();
        assert!(later.iter().all(|seen| !matches!(seen.got, Got::Wrong(_))));
        rig.wait_used("acme", limit);
        rig.verify();
        let received = rig.received();
        rig.stop(&schema, limit);
        let unknown =
            "SELECT coalesce(sum(requests), 0) FROM customer_minutes WHERE ending = 'unknown'";
        let unknown: u64 = schema.ask(unknown).parse().unwrap();
        println!("{received} received of {limit}, {unknown} of unknown ending");
        assert!(received <= limit && received + unknown >= limit);
        assert!(unknown <= CONNECTIONS as u64);
    }
}

#[test]
fn what_a_killed_node_did_not_have_is_spent_by_others_and_the_rest_when_it_is_back() {
    let mut scene = Scene::new(&Plan::of(6000), Node::kill);
    scene.assert_others_spent_the_rest();
    scene.rig.nodes[LOST].start();
    scene.end();
}

#[test]
fn money_that_a_killed_node_did_not_have_is_spent_by_others_and_the_rest_when_it_is_back() {
    let mut scene = Scene::new(&Plan::paid(6000), Node::kill);
    scene.assert_others_spent_the_rest();
    scene.rig.nodes[LOST].start();
    scene.end();
}

#[test]
fn what_a_node_had_whose_journal_is_gone_counts_as_used_until_it_is_forgotten() {
    const LIMIT: u64 = 6000;
    let mut scene = Scene::new(&Plan::of(LIMIT), Node::kill);
    scene.assert_others_spent_the_rest();
    let lost = scene.id.clone();
    let received = scene.rig.received();
    scene.rig.nodes[LOST].lose_journal();
    let early = scene.rig.nodes[0].try_operate(&["nodes", "forget", &lost, "--yes"]);
    assert!(early.is_err(), "what it has may still be spent: {early:?}");
    scene.pass_a_minute();
    let forfeited = wait_for("what is forfeited", || {
        let (_, _, forfeited) = scene.rig.nodes[0].standing("acme");
        (forfeited > 0).then_some(forfeited)
    });
    println!(
        "{received} received of {LIMIT}, {forfeited} forfeited, {} had been out",
        scene.unspent
    );
    assert_eq!(forfeited, scene.unspent);
    scene.callers.wait_only(Got::Refused, OTHERS);
    // The node has another identifier now.
    scene.rig.nodes[LOST].start();
    let told = scene.rig.nodes[0].operate(&["nodes", "forget", &lost, "--yes"]);
    println!("{}", told.trim());
    assert!(!scene.rig.nodes[0].operate(&["nodes"]).contains(&lost));
    let seen = scene.callers.stop();
    assert!(seen.iter().all(|seen| !matches!(seen.got, Got::Wrong(_))));
    assert_eq!(scene.rig.received(), received, "nobody gets what counts as used");
    scene.rig.wait_used("acme", LIMIT);
    scene.rig.verify();
    scene.rig.nodes.iter_mut().for_each(Node::stop);
    assert_eq!(scene.schema.ask("SELECT sum(used) FROM pools"), LIMIT.to_string());
}

impl Scene {
    /// Lets the lease of the lost node end: the clocks of the server and of the nodes are moved, a little at a time,
    /// so that nodes that are there say so in between.
    fn pass_a_minute(&self) {
        for seconds in (4..=64).step_by(4) {
            self.schema.ask(&format!(
                "CREATE OR REPLACE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE AS
                 $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + {seconds} * 1000 $$"
            ));
            self.rig.nodes.iter().for_each(|node| node.move_clock(seconds));
            thread::sleep(Duration::from_millis(150));
        }
    }
}

#[test]
fn a_node_that_stood_still_goes_on_with_what_it_has() {
    let scene = Scene::new(&Plan::of(6000), |node| node.gateway().signal("STOP"));
    scene.assert_others_spent_the_rest();
    scene.rig.nodes[LOST].gateway().signal("CONT");
    scene.end();
}

/// Its lease has ended meanwhile by all clocks, its own as well, and counts as used until it says something.
#[test]
fn a_node_that_stood_still_beyond_the_end_of_its_lease_spends_nothing_of_it_unasked() {
    let scene = Scene::new(&Plan::of(6000), |node| node.gateway().signal("STOP"));
    scene.assert_others_spent_the_rest();
    if number("FAREGATE_NODES_REAL_MINUTE", 0) > 0 {
        thread::sleep(Duration::from_secs(65));
    } else {
        scene.pass_a_minute();
    }
    scene.callers.wait_only(Got::Refused, OTHERS);
    let (used, reserved, forfeited) = scene.rig.nodes[0].standing("acme");
    println!("used {used}, reserved {reserved}, forfeited {forfeited}");
    assert_eq!((used, forfeited), (scene.limit, scene.unspent));
    let received = scene.rig.received();
    scene.rig.nodes[LOST].gateway().signal("CONT");
    let resumed = Instant::now();
    wait_until_equal(|| scene.rig.received(), &scene.limit);
    println!("{} more received within {:?}", scene.limit - received, resumed.elapsed());
    scene.end();
}
