//! Ends that nobody chose, starts, and what the store must have then.

use std::{collections::BTreeMap, fs, sync::OnceLock};

use jiff::Timestamp;

use super::{
    Tally,
    customers::CUSTOMERS,
    model::{Delta, Key},
    world::{World, usd},
};
use crate::{
    journal::tests::{Loss, Place, Script, lose_all},
    ledger::{AccountId, Ledger},
    store::{
        Sqlite, Store,
        records::{Grouping, Reads, ReportRange},
    },
};

/// How many things may have gone either way; more are settled before.
const ALTERNATIVES_MAX: usize = 8;

/// Gives a database with its schema and nothing in it: to make one for each seed took most of the time.
pub(super) fn empty_database() -> &'static [u8] {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    EMPTY.get_or_init(|| {
        let place = Place::new();
        drop(Sqlite::open(&place.database()).expect("it can be made"));
        fs::read(place.database()).expect("it can be read")
    })
}

/// Starts a process on what is there, as the program does.
pub(super) fn start(world: &mut World) {
    world.script = Script::default();
    let process = world.place.start_on(&world.script);
    let floor = process.store.latest_time().expect("it can be read");
    let floor = floor.map_or(world.now, |latest| latest.max(world.now));
    let ledger = Ledger::new(floor);
    let mut load = |row: crate::store::UsageRow<'_>| {
        let (scope, quota) = (row.scope.into(), row.quota.into());
        let account = AccountId { scope, quota, window: row.window };
        ledger.customer(row.customer).load(&account, row.used);
    };
    process.store.load_usage(floor, &mut load).expect("it can be read");
    let reads = process.store.reads();
    let owe = |customer: &str, owed: crate::store::records::Owed| {
        ledger.customer(customer).owe(owed.currency, owed.nanos);
    };
    reads.load_owed(&mut { owe }).expect("it can be read");
    let mut grant = |record: crate::store::records::GrantRecord| {
        let terms = crate::provisioning::grant_of(&record);
        ledger.customer(&record.customer).grant(&terms, record.left);
    };
    reads.load_grants(&mut grant).expect("it can be read");
    drop(reads);
    world.ledger = ledger;
    world.process = Some(process);
    world.model.restart(floor);
}

/// The process is gone, and with strict durability perhaps the power too; then another one starts.
pub(super) fn crash(world: &mut World, tally: &mut Tally) {
    let cuts = world.strict && world.chance.percent(60);
    let process = world.process.take().expect("it runs");
    let synced = [0, 1].map(|worker| process.writers[worker].unsynced().synced());
    drop(process);
    let mut alternatives: Vec<Delta> = Vec::new();
    for open in world.unsent.drain(..) {
        let flight = world.model.flights.remove(&open.flight).expect("it was in flight");
        alternatives.push(flight.charged(flight.cost));
    }
    for open in world.put.iter_mut().flat_map(|put| put.drain(..)) {
        world.model.flights.remove(&open.flight);
    }
    for (_, flight) in std::mem::take(&mut world.model.flights) {
        world.model.add(&flight.charged(flight.cost));
    }
    world.open.clear();
    let unsure = std::mem::take(&mut world.unsure);
    if cuts {
        let lost = unsure.into_iter().filter(|(worker, record, _)| *record > synced[*worker]);
        alternatives.extend(lost.map(|(_, _, instead)| instead));
        let blocks = usize::try_from(world.chance.below(9)).expect("small");
        let loss = *world.chance.pick(&[Loss::Cut, Loss::Zeros, Loss::Hole(blocks)]);
        lose_all(&world.place, &world.script, loss);
        tally.count("power cuts");
        world.trace.note(format!("the power is cut: {loss:?}"));
    } else {
        tally.count("kills");
        world.trace.note("killed");
    }
    if world.chance.percent(30) {
        // Killed once more, when it had started and nothing was served yet.
        start(world);
        world.process = None;
        tally.count("kills in a start");
    }
    start(world);
    alternatives.retain(|delta| delta.iter().any(|(_, amount)| *amount != 0));
    compare_store(world, &alternatives);
    verify(world);
}

/// Everything that the store has is what its ledger comes to.
pub(super) fn verify(world: &mut World) {
    let reads = world.process().store.reads();
    let verified = reads.verify(&mut |difference| panic!("{difference:?}"));
    assert_eq!(verified.expect("it can be read").differences, 0);
}

/// The store has what the model has, or what it would have if some of the alternatives were so; the model
/// takes over which.
pub(super) fn compare_store(world: &mut World, alternatives: &[Delta]) {
    assert!(alternatives.len() <= 2 * ALTERNATIVES_MAX, "too many to try: {}", alternatives.len());
    let found = stored(world);
    for chosen in 0_u32..1 << alternatives.len() {
        let mut model = world.model.clone();
        for (number, delta) in alternatives.iter().enumerate() {
            if chosen & (1 << number) != 0 {
                model.add(delta);
            }
        }
        let expected = model.numbers.iter().filter(|(_, amount)| **amount != 0);
        if expected.eq(found.iter()) {
            world.model = model;
            return;
        }
    }
    let expected: BTreeMap<_, _> = world.model.numbers.iter().filter(|(_, n)| **n != 0).collect();
    panic!("the store has {found:#?}, the model {expected:#?}, alternatives {alternatives:#?}");
}

/// Reads every number that is not zero.
fn stored(world: &World) -> BTreeMap<Key, i64> {
    let store = &world.process.as_ref().expect("it runs").store;
    let mut found = BTreeMap::new();
    for customer in CUSTOMERS {
        let mut usage = |row: crate::store::UsageRow<'_>| {
            let (scope, quota) = (row.scope.to_owned(), row.quota.to_owned());
            let key = Key::Used(customer.to_owned(), scope, quota, row.window.start);
            found.insert(key, i64::try_from(row.used).expect("small"));
        };
        store.usage_of(customer, &mut usage).expect("it can be read");
        for owed in store.reads().owed(customer).expect("it can be read") {
            assert_eq!(owed.currency, usd());
            found.insert(Key::Owed(customer.to_owned()), owed.nanos.0);
        }
        for grant in store.reads().grants(customer, None, 1000).expect("it can be read") {
            found.insert(Key::Left(grant.id), grant.left.0);
        }
    }
    let by = Grouping { customer: true, currency: true, ..Grouping::default() };
    let range = ReportRange { from: Timestamp::MIN, to: Timestamp::MAX, customer: None, by };
    let mut row = |row: crate::store::records::ReportRow| {
        let customer = row.customer.expect("it was asked for");
        let key = match row.currency.as_deref() {
            Some("") | None => Key::MinuteUnits(customer),
            Some(_) => Key::MinuteNanos(customer),
        };
        let money = row.credit.map_or(0, |nanos| nanos.0);
        found.insert(key, i64::try_from(row.units).expect("small") + money);
        true
    };
    store.reads().report(&range, &mut row).expect("it can be read");
    found.retain(|_, amount| *amount != 0);
    found
}
