//! Pools on a real server are what the pure ones are, also where nodes come at once.

mod books;
mod many;
mod money;
mod speed;

use std::collections::BTreeSet;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{
    postgres::{Place, server},
    *,
};
use crate::{
    ledger::{
        AccountId, GRANT_SCOPE,
        lease::{Ask, Letter, Pool, Reply},
    },
    model::Nanos,
};

const NODES: usize = 3;
const QUOTAS: usize = 3;

/// The number of the account that is a grant.
const GRANT: usize = 99_999;

#[derive(Clone, Debug)]
enum Step {
    Begin(usize),
    Correct(usize, i64),
    Exchange { node: usize, is_old: bool, letters: Vec<(usize, Letter)> },
    Expire,
    Fold { node: usize, account: usize, units: u64 },
    Forget(usize),
    Wait(u64),
}

fn letter() -> impl Strategy<Value = Letter> {
    let units = || prop_oneof![3 => Just(0), 5 => 0..30_u64];
    let ask = (0..9_u64, 0..60_u64, any::<bool>());
    let ask = ask.prop_map(|(least, wanted, is_waited_for)| Ask { least, wanted, is_waited_for });
    let numbers = (1..9_u64, 0..300_u64, units(), units(), 0..60_u64);
    let whole = (numbers, prop::option::of(ask), any::<bool>());
    whole.prop_map(|((turn, limit, spent, held, ceiling), ask, is_question)| Letter {
        turn,
        limit,
        spent,
        held,
        ceiling,
        ask,
        is_question,
    })
}

fn of_account() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 0..QUOTAS, 2 => Just(GRANT)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = 0..NODES;
    let letters = prop::collection::vec((of_account(), letter()), 0..4);
    let exchange = (node.clone(), prop::bool::weighted(0.05), letters);
    let exchange = exchange.prop_map(|(node, is_old, mut letters)| {
        let mut known = BTreeSet::new();
        letters.retain(|(account, _)| known.insert(*account));
        Step::Exchange { node, is_old, letters }
    });
    let fold = (node.clone(), of_account(), 0..40_u64);
    let step = prop_oneof![
        2 => node.clone().prop_map(Step::Begin),
        1 => (of_account(), -20..20_i64).prop_map(|(account, units)| match account {
            // Of a grant more is taken, and never less.
            GRANT => Step::Correct(account, units.abs().max(1)),
            _ => Step::Correct(account, units),
        }),
        16 => exchange,
        2 => Just(Step::Expire),
        4 => fold.prop_map(|(node, account, units)| Step::Fold { node, account, units }),
        1 => node.prop_map(Step::Forget),
        4 => (0..50_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..50)
}

fn node_id(node: usize) -> NodeId {
    NodeId(Uuid::from_u128(node as u128 + 1))
}

fn account(number: usize) -> AccountId {
    if number == GRANT {
        let window = Window { start: at(0), end: None };
        return AccountId { scope: GRANT_SCOPE.into(), quota: "grant_1".into(), window };
    }
    let window = Window { start: at(0), end: (number > 0).then(|| at(100)) };
    AccountId { scope: "".into(), quota: format!("quota-{number}").into(), window }
}

fn addressed(number: usize, letter: Letter) -> Addressed {
    Addressed { customer: CUSTOMER.into(), account: account(number), letter }
}

/// PostgreSQL takes the name of no text as it is.
const CUSTOMER: &str = "ac\u{0}me\u{1}";

/// Has the node's next process listened to, as its start does.
fn begin(place: &Place, node: usize) -> u64 {
    place.store.next_run(node_id(node)).unwrap()
}

/// Pools as they are pure, and which process of each node is listened to.
#[derive(Default)]
struct Model {
    pools: BTreeMap<usize, Pool>,
    runs: BTreeMap<usize, u64>,
    /// What is folded of each node's present process, by node and account.
    folded: BTreeMap<(usize, usize), u64>,
    used: BTreeMap<usize, i64>,
    now: u64,
}

impl Model {
    fn time(&self) -> Duration {
        Duration::from_secs(self.now)
    }

    fn pool(&mut self, account: usize) -> &mut Pool {
        let used = self.used.get(&account).copied().unwrap_or(0);
        self.pools.entry(account).or_insert_with(|| {
            let mut pool = Pool::default();
            pool.adjust(used);
            pool
        })
    }

    fn exchange(&mut self, node: usize, letters: &[(usize, Letter)]) -> Vec<Option<Reply>> {
        let now = self.time();
        let reply = |(account, letter): &(usize, Letter)| {
            self.pool(*account).receive(node_id(node).0.as_u128(), letter, now)
        };
        letters.iter().map(reply).collect()
    }

    /// Gives what had counted as used and was not.
    fn recover(&mut self, node: usize) -> u64 {
        let id = node_id(node).0.as_u128();
        let mut back = 0;
        for (account, pool) in &mut self.pools {
            back += pool.recover(id, self.folded.get(&(node, *account)).copied().unwrap_or(0));
        }
        self.folded.retain(|(of, _), _| *of != node);
        back
    }

    /// Gives what counts as used for that, unless some of it may be spent still.
    fn forget(&mut self, node: usize) -> Option<u64> {
        let id = node_id(node).0.as_u128();
        let mut forgotten = self.pools.clone();
        let units: Result<u64, _> = forgotten.values_mut().map(|pool| pool.forget(id)).sum();
        let mut folded = mem::take(&mut self.folded);
        if let Ok(units) = units {
            // What is folded and no lease had.
            for ((of, account), units) in &folded {
                let has_lease =
                    self.pools.get(account).is_some_and(|pool| pool.lease(id).is_some());
                if let (true, false, Some(pool)) =
                    (*of == node, has_lease, forgotten.get_mut(account))
                {
                    pool.adjust(units.cast_signed());
                }
            }
            folded.retain(|(of, _), _| *of != node);
            (self.pools, self.folded) = (forgotten, folded);
            self.runs.remove(&node);
            return Some(units);
        }
        self.folded = folded;
        None
    }
}

fn sum(booked: &[Booked]) -> u64 {
    booked.iter().map(|booked| booked.units).sum()
}

type Sums = (i64, u64, u64, u64);

fn pools(place: &Place) -> BTreeMap<String, Sums> {
    place.store.pools().unwrap().into_iter().collect()
}

fn verify(place: &Place) -> Vec<Difference> {
    let mut found = Vec::new();
    place.store.reads().verify(&mut |difference| found.push(difference)).unwrap();
    found
}

fn run(steps: &[Step]) {
    let mut place = Place::new();
    money::put(&mut place, &money::grant("grant_1", 1000), 0);
    let leases = Leases::new(server(place.name())).unwrap();
    let mut model = Model::default();
    let mut sequence = 0;
    for step in steps {
        let now = Some(at(model.now.cast_signed()));
        match step {
            Step::Begin(node) => {
                let run = begin(&place, *node);
                model.runs.insert(*node, run);
                let recovery = leases.recover(node_id(*node)).unwrap();
                assert_eq!(sum(&recovery.recovered), model.recover(*node));
            }
            Step::Correct(number, units) => {
                place.write(|records| correct(records, *number, *units)).unwrap();
                model.pool(*number).adjust(*units);
                *model.used.entry(*number).or_default() += units;
            }
            Step::Exchange { node, is_old, letters } => {
                let known = model.runs.get(node).copied();
                let run = known.unwrap_or(1) - u64::from(*is_old);
                let sent: Vec<_> = letters.iter().map(|(at, one)| addressed(*at, *one)).collect();
                let replies = leases.exchange(node_id(*node), run, &sent, now).unwrap();
                let is_heard = letters.is_empty() || (known.is_some() && !is_old);
                let expected = is_heard.then(|| model.exchange(*node, letters));
                assert_eq!(replies, expected, "{step:?}");
            }
            Step::Expire => {
                let time = model.time();
                let lost = model.pools.values_mut().flat_map(|pool| pool.expire(time));
                let lost: u64 = lost.map(|lost| lost.units).sum();
                let found = leases.expire(100, now).unwrap();
                assert_eq!(found.iter().map(|lost| lost.booked.units).sum::<u64>(), lost);
            }
            Step::Fold { node, account, units } => {
                sequence += 1;
                fold(&mut place, *node, *account, *units, sequence);
                *model.used.entry(*account).or_default() += units.cast_signed();
                if *units > 0 {
                    *model.folded.entry((*node, *account)).or_default() += units;
                }
            }
            Step::Forget(node) => {
                let forgotten = leases.forget(node_id(*node)).unwrap();
                assert_eq!(forgotten.ok().map(|booked| sum(&booked)), model.forget(*node));
            }
            Step::Wait(seconds) => model.now += seconds,
        }
        let expected = model.pools.iter().map(|(number, pool)| {
            let (held, left, forfeited) = pool.out();
            (account(*number).quota.to_string(), (pool.charged(), held, left, forfeited))
        });
        assert_eq!(pools(&place), expected.collect(), "behind {step:?}");
    }
    assert_eq!(verify(&place), []);
}

fn correct(records: &mut dyn Records, number: usize, units: i64) -> Result<(), StoreError> {
    if number == GRANT {
        let grant = records.grants(CUSTOMER, None, 1)?.remove(0);
        return records.expire_grant(at(1), &grant, Nanos(units), Nanos(units / 2));
    }
    let AccountId { scope, quota, window } = &account(number);
    let key = AccountKey { customer: CUSTOMER, scope, quota, window: *window };
    records.add_used(at(1), &key, units, (EntryKind::Corrected, None))
}

fn fold(place: &mut Place, node: usize, number: usize, units: u64, sequence: u64) {
    if number == GRANT {
        return money::charge(&mut place.store, node, "grant_1", units, sequence);
    }
    let AccountId { scope, quota, window } = &account(number);
    let usage = vec![UsageRow { customer: CUSTOMER, scope, quota, window: *window, used: units }];
    let consumed = vec![consumed(Consumed::Usage(0), units)];
    place.store.put(&Commit { node: node_id(node), usage, consumed, ..empty(sequence) }).unwrap();
}

fn consumed(of: Consumed, amount: u64) -> ConsumedRow<'static> {
    ConsumedRow { of, minute: at(0), route: "r", requests: 1, amount }
}

#[test]
fn leases_on_a_server_are_what_pure_ones_are() {
    let mut runner = TestRunner::new(Config::with_cases(40));
    runner
        .run(&steps(), |steps| {
            run(&steps);
            Ok(())
        })
        .unwrap();
}

fn asks(turn: u64, wanted: u64) -> Letter {
    let ask = Ask { least: 1, wanted, is_waited_for: true };
    Letter { turn, limit: 10, spent: 0, held: 0, ceiling: 0, ask: Some(ask), is_question: false }
}

fn says(turn: u64, spent: u64, held: u64, ceiling: u64) -> Letter {
    Letter { turn, limit: 10, spent, held, ceiling, ask: None, is_question: false }
}

/// Sends a letter about one account and gives the reply.
fn send(leases: &Leases, (node, run): (usize, u64), number: usize, letter: Letter) -> Reply {
    let replies = leases.exchange(node_id(node), run, &[addressed(number, letter)], None).unwrap();
    replies.unwrap()[0].unwrap()
}
