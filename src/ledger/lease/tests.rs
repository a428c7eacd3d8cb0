//! One thing at a time; what comes in any order is in the simulation of leases.

#![allow(clippy::arithmetic_side_effects)]

use proptest::prelude::*;

use super::*;

const NODE: u128 = 1;
const OTHER: u128 = 2;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn ask(least: u64, wanted: u64) -> Option<Ask> {
    Some(Ask { least, wanted, is_waited_for: true })
}

/// A letter of turn, spent, held and ceiling.
fn said(turn: u64, state: [u64; 3], ask: Option<Ask>) -> Letter {
    let [spent, held, ceiling] = state;
    Letter { turn, limit: 100, spent, held, ceiling, ask, is_question: false }
}

/// What the holder says, and what the pool answers, until there is nothing to say.
fn talk(pool: &mut Pool, holder: &mut Holder, limit: u64, now: Duration) -> u64 {
    let mut letters = 0;
    while let Some(letter) = holder.letter(limit, now) {
        holder.receive(&pool.receive(NODE, &letter, now).unwrap(), now);
        letters += 1;
    }
    letters
}

/// A request that finds something, perhaps after a trip.
fn take(pool: &mut Pool, holder: &mut Holder, limit: u64, cost: u64, now: Duration) -> u64 {
    let mut letters = 0;
    if !holder.fits(cost, now) {
        assert_eq!(holder.lack(cost, now, now), Lack::Wait);
        holder.wait(cost);
        letters = talk(pool, holder, limit, now);
    }
    assert!(holder.fits(cost, now));
    holder.take(cost, now);
    letters
}

/// Why a request that comes at this time is refused, and after what time.
fn refused(pool: &mut Pool, holder: &mut Holder, cost: u64, arrived: Duration) -> (Lack, Duration) {
    refused_of(pool, holder, 100, cost, arrived)
}

fn refused_of(
    pool: &mut Pool,
    holder: &mut Holder,
    limit: u64,
    cost: u64,
    arrived: Duration,
) -> (Lack, Duration) {
    let mut now = arrived;
    loop {
        assert!(!holder.fits(cost, now));
        match holder.lack(cost, arrived, now) {
            Lack::Wait => holder.wait(cost),
            lack => return (lack, now - arrived),
        }
        talk(pool, holder, limit, now);
        now += at(10);
    }
}

#[test]
fn who_asks_again_gets_the_same_and_an_older_letter_is_not_answered() {
    let mut pool = Pool::default();
    let question = said(1, [0, 0, 0], ask(1, 20));
    let first = pool.receive(NODE, &question, at(0)).unwrap();
    assert_eq!((first.granted, first.lasts, first.rest.free), (20, LASTS, 80));
    // Somebody else takes some meanwhile.
    assert_eq!(pool.receive(OTHER, &said(1, [0, 0, 0], ask(1, 5)), at(1)).unwrap().granted, 5);
    let again = pool.receive(NODE, &question, at(1000)).unwrap();
    assert_eq!((again.granted, again.rest.free, again.rest.left), (20, 75, 5));
    let next = pool.receive(NODE, &said(2, [3, 1, 10], None), at(1001)).unwrap();
    assert_eq!((next.granted, next.rest.free), (0, 85));
    assert_eq!(pool.receive(NODE, &question, at(2000)), None);
    assert_eq!((pool.used(), pool.out(), pool.free(100)), (3, (1, 11, 0), 85));
}

#[test]
fn the_limit_is_used_held_left_forfeited_and_free() {
    let mut pool = Pool::new(7);
    pool.receive(NODE, &said(1, [0, 0, 0], ask(1, 20)), at(0));
    pool.receive(NODE, &said(2, [4, 6, 20], None), at(0));
    pool.receive(OTHER, &said(1, [0, 0, 0], ask(1, 10)), LASTS);
    assert_eq!(pool.expire(LASTS), [Forfeit { node: NODE, units: 16 }]);
    assert_eq!((pool.used(), pool.out(), pool.free(100)), (11, (0, 10, 16), 63));
    let reply = pool.receive(OTHER, &said(2, [0, 3, 10], None), LASTS).unwrap();
    let rest = Rest { free: 63, left: 0, used: 27, held: 0, forfeited: 16 };
    assert_eq!(reply.rest, rest);
}

#[test]
fn a_share_is_given_and_whole_costs_near_the_end() {
    let mut pool = Pool::default();
    let mut ceiling = 0;
    let mut units = Vec::new();
    for turn in 1.. {
        let reply = pool.receive(NODE, &said(turn, [ceiling, 0, ceiling], ask(10, 90)), at(0));
        match reply.unwrap().granted {
            0 => break,
            granted => units.push(granted),
        }
        ceiling += units.last().unwrap();
    }
    assert_eq!(units, [20, 20, 10, 10, 10, 10, 10, 10]);
    let reply = pool.receive(OTHER, &said(1, [0, 0, 0], ask(10, 90)), at(0)).unwrap();
    assert_eq!((reply.granted, reply.rest.left, reply.rest.is_enough(1)), (0, 0, false));
    pool.receive(NODE, &said(20, [40, 0, 100], None), at(0));
    let reply = pool.receive(OTHER, &said(2, [0, 0, 0], ask(10, 90)), at(0)).unwrap();
    assert_eq!((reply.granted, reply.rest.left), (0, 60));
    assert!(reply.rest.is_enough(60) && !reply.rest.is_enough(61));
}

#[test]
fn a_late_reply_says_nothing() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    holder.wait(1);
    let question = holder.letter(100, at(0)).unwrap();
    let reply = pool.receive(NODE, &question, at(1)).unwrap();
    // It is asked again, the same, as long as there is no answer.
    assert_eq!((holder.letter(100, at(100)), holder.due(at(100))), (None, Some(at(250))));
    assert_eq!(holder.letter(100, at(250)), Some(question));
    holder.receive(&reply, at(260));
    assert_eq!(holder.state(), (0, 0, 4));
    holder.take(4, at(260));
    holder.settle(4, 4);
    // The second answer comes too, and once more.
    holder.receive(&reply, at(270));
    holder.receive(&Reply { turn: 9, granted: 50, ..reply }, at(280));
    assert_eq!(holder.state(), (4, 0, 0));
}

#[test]
fn what_is_lowered_cannot_be_taken_while_the_letter_travels() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    take(&mut pool, &mut holder, 100, 1, at(0));
    assert_eq!(holder.state(), (0, 1, 3));
    holder.recall(at(100));
    let letter = holder.letter(100, at(100)).unwrap();
    assert_eq!((letter.ceiling, letter.ask), (1, None));
    assert!(!holder.fits(1, at(100)));
    holder.receive(&pool.receive(NODE, &letter, at(101)).unwrap(), at(102));
    assert_eq!((holder.left(at(102)), pool.free(100)), (0, 99));
    // What a request did not cost is told at once, since the pool takes nothing for left here; and nothing is asked
    // for ahead for some time, so that others find it.
    holder.settle(1, 0);
    assert_eq!(holder.left(at(110)), 1);
    let letter = holder.letter(100, at(110)).unwrap();
    assert_eq!((letter.ceiling, letter.ask), (1, None));
    holder.receive(&pool.receive(NODE, &letter, at(111)).unwrap(), at(112));
    assert_eq!((pool.out(), holder.letter(100, at(113))), ((0, 1, 0), None));
}

#[test]
fn a_lease_is_not_spent_beyond_its_end_counted_from_before_it_was_asked_for() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    holder.wait(1);
    let question = holder.letter(100, at(0)).unwrap();
    // It takes long, and then the clock on the other side begins.
    holder.receive(&pool.receive(NODE, &question, at(800)).unwrap(), at(900));
    assert!(holder.fits(1, LASTS - at(1)));
    holder.take(1, LASTS - at(1));
    assert_eq!((holder.left(LASTS - at(1)), holder.left(LASTS)), (3, 0));
    assert!(!holder.fits(1, LASTS));
    assert_eq!(holder.lack(1, LASTS, LASTS), Lack::Wait);
    holder.settle(1, 1);
    talk(&mut pool, &mut holder, 100, LASTS + at(500));
    assert_eq!((pool.used(), pool.out()), (1, (0, 0, 0)));
}

#[test]
fn what_a_node_speaks_of_is_not_taken_for_lost() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    take(&mut pool, &mut holder, 100, 1, at(0));
    let mut letters = 0;
    for ms in (0..300_000).step_by(250) {
        letters += talk(&mut pool, &mut holder, 100, at(ms));
        assert_eq!(pool.expire(at(ms)), []);
    }
    assert_eq!(pool.out(), (1, 0, 0));
    assert!(letters < 20, "one for each third of a lease: {letters}");
    holder.settle(1, 1);
    talk(&mut pool, &mut holder, 100, at(300_000));
    assert_eq!((pool.used(), pool.out(), holder.due(at(300_000))), (1, (0, 0, 0), None));
}

#[test]
fn much_that_is_not_needed_goes_back_within_a_second() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    let mut letters = 0;
    for ms in (0..1000).step_by(10) {
        letters += take(&mut pool, &mut holder, 100_000, 100, at(ms));
        holder.settle(100, 100);
        letters += talk(&mut pool, &mut holder, 100_000, at(ms));
    }
    let (_, left, _) = pool.out();
    assert!(left > 10_000, "a lease is for some seconds");
    assert!(letters < 10, "and is not asked for all the time");
    for ms in (1000..2000).step_by(10) {
        talk(&mut pool, &mut holder, 100_000, at(ms));
    }
    assert_eq!((pool.used(), pool.out(), holder.due(at(2000))), (10_000, (0, 0, 0), None));
}

#[test]
fn little_is_kept_for_whoever_comes_again_and_goes_back_before_the_end() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    // The first one brings some for those behind it.
    assert_eq!(take(&mut pool, &mut holder, 1000, 1, at(0)), 1);
    holder.settle(1, 1);
    // What they do is little as well, and said in time.
    for (ms, letters, said) in [(10_000, 0, 0), (20_000, 0, 0), (30_000, 1, 4)] {
        assert_eq!(take(&mut pool, &mut holder, 1000, 1, at(ms)), 0);
        holder.settle(1, 1);
        assert_eq!(talk(&mut pool, &mut holder, 1000, at(ms)), letters);
        assert_eq!(talk(&mut pool, &mut holder, 1000, at(ms + 900)), 0);
        assert_eq!(pool.used(), said);
    }
    let due = holder.due(at(31_000)).unwrap();
    assert!(due < at(30_000) + LASTS, "{due:?}");
    assert_eq!(pool.expire(due), []);
    talk(&mut pool, &mut holder, 1000, due);
    assert_eq!((pool.out(), holder.due(due)), ((0, 0, 0), None));
}

#[test]
fn what_was_granted_stays_for_a_moment_though_it_is_recalled() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    holder.wait(1);
    let letter = holder.letter(100, at(1000)).unwrap();
    holder.recall(at(1001));
    holder.receive(&pool.receive(NODE, &letter, at(1001)).unwrap(), at(1002));
    assert_eq!(holder.letter(100, at(1021)), None);
    assert!(holder.fits(1, at(1021)));
    assert_eq!(holder.letter(100, at(1022)).unwrap().ceiling, 0);
}

#[test]
fn who_has_nothing_any_more_tells_that_at_once_when_it_is_recalled() {
    let (mut pool, mut holder, mut other) = (Pool::default(), Holder::default(), Holder::default());
    pool.adjust(96);
    take(&mut pool, &mut other, 100, 4, at(0));
    other.settle(4, 4);
    // The pool takes that for left, and asks.
    holder.wait(1);
    let question = holder.letter(100, at(1)).unwrap();
    let reply = pool.receive(OTHER, &question, at(1)).unwrap();
    assert_eq!((reply.granted, reply.rest.left), (0, 4));
    holder.receive(&reply, at(1));
    assert_eq!(holder.lack(1, at(0), at(1)), Lack::Wait);
    other.recall(at(2));
    assert_eq!(talk(&mut pool, &mut other, 100, at(2)), 1);
    holder.wait(1);
    assert_eq!(holder.letter(100, at(20)), None);
    let question = holder.letter(100, at(21)).unwrap();
    holder.receive(&pool.receive(OTHER, &question, at(21)).unwrap(), at(21));
    assert_eq!(holder.lack(1, at(0), at(21)), Lack::UsedUp);
    // Once more says nothing new.
    other.recall(at(22));
    assert_eq!(talk(&mut pool, &mut other, 100, at(22)), 0);
}

#[test]
fn units_that_do_not_come_back_are_not_taken_for_used_up() {
    let (mut pool, mut holder) = (Pool::new(99), Holder::default());
    pool.receive(OTHER, &said(1, [0, 0, 0], ask(1, 1)), at(0));
    let (lack, after) = refused(&mut pool, &mut holder, 1, at(0));
    assert_eq!(lack, Lack::Unavailable);
    assert!((at(800)..=at(850)).contains(&after), "{after:?}");
    // The next ones do not wait as well, for a while.
    assert_eq!(refused(&mut pool, &mut holder, 1, at(1000)), (Lack::Unavailable, at(0)));
    assert_eq!(holder.lack(1, at(2700), at(2700)), Lack::Unavailable);
    assert_eq!(refused(&mut pool, &mut holder, 1, at(3000)).0, Lack::Unavailable);
    // The other one says that a request holds it: that is so for a moment.
    pool.receive(OTHER, &said(2, [0, 1, 1], None), at(4000));
    holder.wait(1);
    talk(&mut pool, &mut holder, 100, at(4000));
    assert_eq!(holder.lack(1, at(4050), at(4050)), Lack::UsedUp);
    assert_eq!(holder.lack(1, at(4200), at(4200)), Lack::Wait);
    // And that it is spent: now nothing is out, and for a second nobody asks; unless something was changed.
    pool.receive(OTHER, &said(3, [1, 0, 1], None), at(4200));
    assert_eq!(refused(&mut pool, &mut holder, 1, at(4200)).0, Lack::UsedUp);
    assert_eq!(holder.lack(1, at(5100), at(5100)), Lack::UsedUp);
    holder.correct(|used| used);
    assert_eq!(holder.lack(1, at(5100), at(5100)), Lack::Wait);
}

#[test]
fn a_dear_request_is_told_at_once_that_it_is_too_dear() {
    let (mut pool, mut holder) = (Pool::new(90), Holder::default());
    // Cheap ones get what they ask for all the time.
    take(&mut pool, &mut holder, 100, 1, at(0));
    assert_eq!(refused(&mut pool, &mut holder, 40, at(1)), (Lack::UsedUp, at(0)));
    // What is left here and what is free are enough together.
    take(&mut pool, &mut holder, 100, 1, at(20));
    take(&mut pool, &mut holder, 100, 8, at(30));
    assert_eq!(refused(&mut pool, &mut holder, 1, at(40)).0, Lack::UsedUp);
}

#[test]
fn what_is_left_goes_back_for_a_request_that_needs_more() {
    let (mut pool, mut holder) = (Pool::new(60), Holder::default());
    take(&mut pool, &mut holder, 100, 1, at(0));
    assert_eq!((holder.left(at(0)), pool.free(100)), (3, 36));
    take(&mut pool, &mut holder, 100, 39, at(10));
    assert_eq!((holder.left(at(10)), pool.free(100)), (0, 0));
}

#[test]
fn without_an_answer_it_is_not_known() {
    let mut holder = Holder::default();
    assert_eq!(holder.lack(1, at(500), at(2499)), Lack::Wait);
    assert_eq!(holder.lack(1, at(500), at(2500)), Lack::Unavailable);
    // Nobody else waits as long for the same.
    assert_eq!(holder.lack(1, at(2600), at(2600)), Lack::Unavailable);
}

#[test]
fn what_a_dead_node_had_counts_until_its_journal_is_back() {
    let mut pool = Pool::default();
    pool.receive(NODE, &said(1, [0, 0, 0], ask(1, 20)), at(0));
    pool.receive(NODE, &said(2, [5, 1, 20], None), at(1000));
    assert_eq!(pool.expire(at(1000) + LASTS - at(1)), []);
    assert_eq!(pool.forget(NODE), Err(NotEnded));
    // A journal that comes back in time.
    let mut quick = pool.clone();
    assert_eq!(quick.recover(NODE, 8), 0);
    assert_eq!((quick.used(), quick.out(), quick.free(100)), (8, (0, 0, 0), 92));
    assert_eq!(pool.expire(at(1000) + LASTS), [Forfeit { node: NODE, units: 15 }]);
    assert_eq!(pool.expire(at(1001) + LASTS), []);
    assert_eq!((pool.used(), pool.out(), pool.free(100)), (5, (0, 0, 15), 80));
    let mut forgotten = pool.clone();
    assert_eq!(forgotten.forget(NODE), Ok(15));
    assert_eq!((forgotten.used(), forgotten.out(), forgotten.free(100)), (20, (0, 0, 0), 80));
    assert_eq!(forgotten.forget(NODE), Ok(0));
    // Its journal has 8 of them.
    assert_eq!(pool.recover(NODE, 8), 12);
    assert_eq!((pool.used(), pool.out(), pool.free(100)), (8, (0, 0, 0), 92));
    // The next process counts from the beginning, and the one after it too.
    assert_eq!(pool.receive(NODE, &said(1, [0, 0, 0], ask(1, 4)), at(0)).unwrap().granted, 4);
    assert_eq!((pool.recover(NODE, 3), pool.used(), pool.free(100)), (0, 11, 89));
    // Also what nobody knows of a lease of.
    assert_eq!((pool.recover(OTHER, 2), pool.used(), pool.free(100)), (0, 13, 87));
}

#[test]
fn a_node_that_slept_says_itself_what_was_not_spent() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    take(&mut pool, &mut holder, 100, 1, at(0));
    assert_eq!(pool.expire(LASTS), [Forfeit { node: NODE, units: 4 }]);
    assert_eq!((holder.left(2 * LASTS), pool.out()), (0, (0, 0, 4)));
    talk(&mut pool, &mut holder, 100, 2 * LASTS);
    assert_eq!((pool.used(), pool.out(), pool.free(100)), (0, (1, 0, 0), 99));
}

#[test]
fn a_debt_is_used_and_does_not_eat_what_is_given_next() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    take(&mut pool, &mut holder, 100, 10, at(0));
    take(&mut pool, &mut holder, 100, 10, at(0));
    holder.settle(10, 60);
    assert_eq!(holder.left(at(1)), 0);
    take(&mut pool, &mut holder, 100, 3, at(10));
    assert_eq!((pool.used(), pool.out().0), (60, 10));
    // One that is more than there is at all.
    holder.settle(10, 60);
    talk(&mut pool, &mut holder, 100, at(2000));
    assert_eq!((pool.used(), pool.free(100)), (120, 0));
    assert_eq!(refused(&mut pool, &mut holder, 1, at(2000)).0, Lack::UsedUp);
    // And is made good.
    pool.adjust(-60);
    assert_eq!((pool.used(), pool.free(100)), (60, 37));
}

#[test]
fn what_is_granted_comes_on_top_of_a_debt() {
    let mut pool = Pool::default();
    pool.receive(NODE, &said(1, [0, 0, 0], ask(10, 10)), at(0));
    let question = said(2, [60, 5, 10], ask(3, 3));
    let reply = pool.receive(NODE, &question, at(1)).unwrap();
    assert_eq!((reply.granted, reply.rest.free, pool.lease(NODE)), (58, 32, Some((60, 68))));
    assert_eq!(pool.receive(NODE, &question, at(2)), Some(reply));
}

#[test]
fn a_limit_that_is_lowered_and_raised_is_that_of_the_letters() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    take(&mut pool, &mut holder, 100, 20, at(0));
    holder.settle(20, 20);
    assert_eq!(talk(&mut pool, &mut holder, 10, at(900)), 1);
    assert_eq!((pool.used(), pool.out(), pool.free(10)), (20, (0, 0, 0), 0));
    assert_eq!(refused_of(&mut pool, &mut holder, 10, 1, at(901)).0, Lack::UsedUp);
    assert_eq!(holder.lack(1, at(1000), at(1000)), Lack::UsedUp);
    holder.correct(|used| used);
    take(&mut pool, &mut holder, 100, 1, at(1000));
    assert_eq!((pool.free(100), pool.used()), (60, 20));
}

#[test]
fn a_holder_that_stops_gives_all_back_and_takes_nothing() {
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    take(&mut pool, &mut holder, 100, 2, at(0));
    holder.stop();
    assert!(!holder.fits(1, at(1)));
    assert_eq!((holder.lack(2, at(1), at(1)), holder.left(at(1))), (Lack::Unavailable, 0));
    talk(&mut pool, &mut holder, 100, at(2));
    assert_eq!((pool.out(), holder.is_over()), ((2, 0, 0), false));
    holder.settle(2, 1);
    talk(&mut pool, &mut holder, 100, at(3));
    assert_eq!((pool.used(), pool.out()), (1, (0, 0, 0)));
    assert_eq!((holder.due(at(3)), holder.is_over()), (None, true));
}

#[test]
fn what_costs_nothing_is_always_served_and_causes_nothing() {
    let mut holder = Holder::default();
    assert!(holder.fits(0, at(0)));
    holder.take(0, at(0));
    holder.settle(0, 0);
    assert_eq!(holder.due(at(0)), None);
    holder.stop();
    assert!(holder.fits(0, at(0)) && holder.is_over());
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let hour = Duration::from_secs(3600);
    let (mut pool, mut holder) = (Pool::default(), Holder::default());
    take(&mut pool, &mut holder, 100, 1, hour);
    holder.settle(1, 1);
    holder.recall(hour);
    let lost = holder.letter(100, hour + at(50)).unwrap();
    // It is asked again within its time, and what is to be said is said within its own.
    assert_eq!(holder.letter(100, at(0)), None);
    assert_eq!(holder.letter(100, at(250)), Some(lost));
    holder.receive(&pool.receive(NODE, &lost, hour).unwrap(), at(251));
    assert_eq!(take(&mut pool, &mut holder, 100, 1, at(300)), 1);
    holder.settle(1, 1);
    talk(&mut pool, &mut holder, 100, at(1300));
    assert_eq!((pool.used(), pool.out(), holder.due(at(1300))), (2, (0, 0, 0), None));
    // A lease lasts no longer for it.
    take(&mut pool, &mut holder, 100, 1, hour);
    assert_eq!(holder.letter(100, at(0)), None);
    assert!(holder.fits(1, LASTS - at(1)) && !holder.fits(1, LASTS));
}

/// What may come to a pool.
#[derive(Clone, Debug)]
enum Step {
    Adjust(i64),
    Expire,
    Forget(u128),
    Letter(u128, Letter),
    Recover(u128, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 1_u128..4;
    let question = prop::option::of((0_u64..9, 0_u64..60));
    let numbers = (0_u64..12, 0_u64..200, 0_u64..40, 0_u64..40, 0_u64..120);
    let letter = (numbers, question, any::<bool>()).prop_map(
        |((turn, limit, spent, held, ceiling), ask, is_question)| {
            let ask = ask.map(|(least, wanted)| Ask { least, wanted, is_waited_for: true });
            Letter { turn, limit, spent, held, ceiling, ask, is_question }
        },
    );
    prop_oneof![
        20 => (node.clone(), letter).prop_map(|(node, letter)| Step::Letter(node, letter)),
        1 => (-20_i64..20).prop_map(Step::Adjust),
        2 => Just(Step::Expire),
        1 => node.clone().prop_map(Step::Forget),
        2 => (node, 0_u64..60).prop_map(|(node, spent)| Step::Recover(node, spent)),
    ]
}

proptest! {
    /// Also letters that no holder writes get nothing that is not there.
    #[test]
    fn letters_of_any_kind_are_given_no_more_than_is_free(
        steps in prop::collection::vec((0_u64..30_000, step()), 1..60),
    ) {
        let (mut pool, mut now) = (Pool::default(), at(0));
        for (after, step) in steps {
            now += at(after);
            let before = pool.clone();
            match step {
                Step::Adjust(used) => pool.adjust(used),
                Step::Expire => _ = pool.expire(now),
                Step::Forget(node) => _ = pool.forget(node),
                Step::Recover(node, spent) => _ = pool.recover(node, spent),
                Step::Letter(node, letter) => {
                    let said = Letter { ask: None, ..letter };
                    let mut without = before.clone();
                    let reply = pool.receive(node, &letter, now);
                    let Some(reply) = reply else { prop_assert_eq!(&pool, &before); continue };
                    without.receive(node, &said, now);
                    let given = without.free(letter.limit) - pool.free(letter.limit);
                    if letter.ask.is_none() && before.lease(node) != pool.lease(node) {
                        prop_assert_eq!((reply.granted, given), (0, 0));
                    }
                    // The same again changes nothing.
                    let known = pool.clone();
                    prop_assert_eq!(pool.receive(node, &letter, now), Some(reply));
                    prop_assert_eq!(&pool, &known);
                    prop_assert_eq!(reply.rest.free, pool.free(letter.limit));
                }
            }
            let (held, left, forfeited) = pool.out();
            let counted = pool.used() + held + left + forfeited;
            prop_assert!(pool.free(500) <= 500);
            if pool.charged() >= 0 {
                prop_assert_eq!(pool.free(500), 500_u64.saturating_sub(counted));
            }
        }
    }
}
