//! What is remembered between folds: sums are right whatever is remembered, forgotten or false.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::store::sqlite::ids::AccountId;

const CUSTOMERS: [&str; 2] = ["acme", "other"];
const KEYS: [&str; 2] = ["j", "k"];
const ENDINGS: [&str; 2] = ["completed", "failed"];

/// One charge: the customer and which of its lives, key, ending, minute, units.
type Charge = (usize, usize, usize, usize, i64, u64);

#[derive(Clone, Debug)]
enum Step {
    Correct(usize),
    Fail(Vec<Charge>),
    Fold(Vec<Charge>),
    Remove(usize),
    Reopen,
    UndoRemoval(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let minute = prop_oneof![0..4_i64, 58..63_i64];
    let charge = (0..2_usize, 0..4_usize, 0..2_usize, 0..2_usize, minute, 0..9_u64);
    let charges = || prop::collection::vec(charge.clone(), 0..6);
    let step = prop_oneof![
        1 => (0..2_usize).prop_map(Step::Correct),
        1 => charges().prop_map(Step::Fail),
        6 => charges().prop_map(Step::Fold),
        2 => (0..2_usize).prop_map(Step::Remove),
        1 => Just(Step::Reopen),
        1 => (0..2_usize).prop_map(Step::UndoRemoval),
    ];
    prop::collection::vec(step, 0..16)
}

type MinuteKey = (i64, String, String);

/// What a naive book has.
#[derive(Default)]
struct Model {
    /// By name in the journal, who has it.
    owners: BTreeMap<String, String>,
    lives: [usize; 2],
    usage: BTreeMap<String, u64>,
    minutes: BTreeMap<String, BTreeMap<MinuteKey, (u64, u64)>>,
    uses: BTreeMap<String, i64>,
}

fn name_of(customer: usize, life: usize) -> String {
    let id = CUSTOMERS[customer];
    if life == 0 { id.into() } else { format!("{id}#{}", life + 1) }
}

fn key_of(customer: usize, key: usize) -> String {
    format!("{}-{}", CUSTOMERS[customer], KEYS[key])
}

impl Model {
    fn name(&self, customer: usize, life: usize) -> String {
        name_of(customer, life.min(self.lives[customer]))
    }

    fn add(&mut self, (customer, life, key, ending, minute, units): Charge) {
        let name = self.name(customer, life);
        let owner = self.owners.get(&name).cloned();
        let key = key_of(customer, key);
        if owner.is_none() {
            let latest = self.uses.entry(key.clone()).or_insert(minute);
            *latest = minute.max(*latest);
        }
        let owner = owner.unwrap_or_else(|| CUSTOMERS[customer].into());
        *self.usage.entry(owner.clone()).or_default() += units;
        let minutes = self.minutes.entry(owner).or_default();
        let sums = minutes.entry((minute, key, ENDINGS[ending].into())).or_default();
        *sums = (sums.0 + 1, sums.1 + units);
    }

    fn remove(&mut self, customer: usize, pseudonym: &str) {
        let id = CUSTOMERS[customer];
        let used = self.usage.remove(id);
        *self.usage.entry(pseudonym.into()).or_default() += used.unwrap_or(0);
        for (key, (requests, units)) in self.minutes.remove(id).unwrap_or_default() {
            let minutes = self.minutes.entry(pseudonym.into()).or_default();
            let sums = minutes.entry(key).or_default();
            *sums = (sums.0 + requests, sums.1 + units);
        }
        self.owners.insert(self.name(customer, usize::MAX), pseudonym.into());
        self.lives[customer] += 1;
        self.uses.retain(|key, _| !key.starts_with(id));
    }
}

/// Rows as a fold brings them: in order, each once.
fn rows<'a>(
    names: &'a [(String, String)],
    charges: &[Charge],
) -> (Vec<UsageRow<'a>>, Vec<MinuteRow<'a>>) {
    let mut usage = BTreeMap::<&str, u64>::new();
    let mut minutes = BTreeMap::<_, (u64, u64)>::new();
    for ((name, key_id), &(.., ending, minute, units)) in names.iter().zip(charges) {
        *usage.entry(name).or_default() += units;
        let sums = minutes.entry((minute, &**name, &**key_id, ENDINGS[ending])).or_default();
        *sums = (sums.0 + 1, sums.1 + units);
    }
    let window = Window { start: at(0), end: None };
    let usage = usage.into_iter().map(|(customer, used)| UsageRow {
        customer,
        scope: "",
        quota: "q",
        window,
        used,
    });
    let minutes = minutes.into_iter().map(|((minute, customer, key_id, ending), sums)| {
        let (requests, units) = sums;
        let minute = at(minute * 60);
        let (currency, nanos) = (None, crate::model::Nanos::ZERO);
        MinuteRow { customer, key_id, route: "r", minute, ending, currency, requests, units, nanos }
    });
    (usage.collect(), minutes.collect())
}

fn fold(place: &mut Place, model: &Model, charges: &[Charge], sequence: u64, fails: bool) {
    let names: Vec<_> = charges
        .iter()
        .map(|&(customer, life, key, ..)| (model.name(customer, life), key_of(customer, key)))
        .collect();
    let (usage, minutes) = rows(&names, charges);
    let twice = OpenReservation {
        id: ReservationId { worker: 1, sequence: 1 },
        request_id: Uuid::nil(),
        customer: "acme".into(),
        definition: Vec::new(),
        cost: 1,
        nanos: crate::model::Nanos::ZERO,
        opened_at: at(1),
    };
    let opened = if fails { vec![twice.clone(), twice] } else { Vec::new() };
    let result = place.store.put(&Commit { usage, minutes, opened, ..empty(sequence) });
    assert_eq!(result.is_err(), fails);
}

fn put_all(place: &mut Place) {
    let put = place.write(|records| {
        CUSTOMERS.iter().try_for_each(|id| records.put_customer(&customer(id)))?;
        for (number, id) in CUSTOMERS.iter().enumerate() {
            for one in 0..KEYS.len() {
                records.put_key(&key(&key_of(number, one), id))?;
            }
        }
        Ok(())
    });
    put.unwrap();
}

fn run(place: &mut Place, model: &mut Model, step: &Step, sequence: u64) {
    match step {
        Step::Correct(customer) => {
            let customer = CUSTOMERS[*customer];
            let window = Window { start: at(0), end: None };
            let account = AccountKey { customer, scope: "", quota: "q", window };
            place
                .write(|records| {
                    records.add_used(
                        Timestamp::UNIX_EPOCH,
                        &account,
                        3,
                        (crate::store::records::EntryKind::Corrected, None),
                    )
                })
                .unwrap();
            *model.usage.entry(customer.into()).or_default() += 3;
        }
        Step::Fail(charges) => fold(place, model, charges, sequence, true),
        Step::Fold(charges) => {
            fold(place, model, charges, sequence, false);
            charges.iter().for_each(|charge| model.add(*charge));
        }
        Step::Remove(customer) => {
            let (id, name) = (CUSTOMERS[*customer], model.name(*customer, usize::MAX));
            let pseudonym = format!("gone-{sequence}");
            let remove = |records: &mut dyn Records| records.delete_customer(id, &name, &pseudonym);
            place.write(remove).unwrap();
            model.remove(*customer, &pseudonym);
            put_all(place);
        }
        Step::Reopen => {
            let memory = Connection::open_in_memory().unwrap();
            // Its lock goes with it.
            place.store.connection = memory;
            place.store._lock = None;
            place.store = Sqlite::open(&place.path()).unwrap();
        }
        Step::UndoRemoval(customer) => {
            let (id, name) = (CUSTOMERS[*customer], model.name(*customer, usize::MAX));
            let undone: Result<(), _> = place.write(|records| {
                records.delete_customer(id, &name, "undone")?;
                Err(StoreError::new("write to", "told to"))
            });
            undone.unwrap_err();
        }
    }
}

fn used(store: &Sqlite, customer: &str) -> u64 {
    let mut sum = 0;
    store.usage_of(customer, &mut |row| sum += row.used).unwrap();
    sum
}

fn minutes(store: &Sqlite, customer: &str) -> Vec<(MinuteKey, (u64, u64))> {
    let mut found = Vec::new();
    let ever = Window { start: Timestamp::MIN, end: None };
    let mut each = |row: MinuteRow<'_>| {
        let key = (row.minute.as_second() / 60, row.key_id.to_owned(), row.ending.to_owned());
        found.push((key, (row.requests, row.units)));
    };
    store.minutes_of(customer, ever, &mut each).unwrap();
    found
}

/// Everybody's requests and units, by customer and key.
fn reported(store: &Sqlite, customer: Option<&str>) -> BTreeMap<(String, String), (u64, u64)> {
    let by = Grouping { customer: true, key: true, ..Grouping::default() };
    let range = ReportRange { from: at(0), to: at(7200), customer, by };
    let mut found = BTreeMap::new();
    let mut each = |row: ReportRow| {
        found.insert((row.customer.unwrap(), row.key_id.unwrap()), (row.requests, row.units));
        true
    };
    store.reads().report(&range, &mut each).unwrap();
    found
}

fn check(place: &Place, model: &Model) {
    let Place { store, .. } = place;
    let mut expected = BTreeMap::<_, (u64, u64)>::new();
    let gone = model.owners.values().map(String::as_str);
    for owner in &CUSTOMERS.iter().copied().chain(gone).collect::<BTreeSet<_>>() {
        assert_eq!(used(store, owner), model.usage.get(*owner).copied().unwrap_or(0), "{owner}");
        let of_one = model.minutes.get(*owner).cloned().unwrap_or_default();
        let mut of_owner = BTreeMap::<_, (u64, u64)>::new();
        for ((_, key, _), (requests, units)) in &of_one {
            let sums = of_owner.entry(((*owner).to_owned(), key.clone())).or_default();
            *sums = (sums.0 + requests, sums.1 + units);
        }
        assert_eq!(reported(store, Some(owner)), of_owner, "{owner}");
        expected.append(&mut of_owner);
        assert_eq!(minutes(store, owner), of_one.into_iter().collect::<Vec<_>>(), "{owner}");
    }
    assert_eq!(reported(store, None), expected);
    for (customer, key) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (customer, key) = (CUSTOMERS[customer], key_of(customer, key));
        let latest = store.reads().last_used(customer, &key).unwrap().map(|at| at.as_second() / 60);
        assert_eq!(latest, model.uses.get(&key).copied(), "{key}");
        let read = store.reads().key(&key).unwrap().unwrap();
        assert_eq!(read.last_used.map(|at| at.as_second() / 60), latest, "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// In tests four of a kind are recent, so that some are forgotten all the time.
    #[test]
    fn sums_are_those_of_a_naive_book(steps in steps()) {
        let mut place = Place::new();
        put_all(&mut place);
        let mut model = Model::default();
        for (number, step) in (1..).zip(&steps) {
            // Some steps are an hour apart.
            run(&mut place, &mut model, step, number * 1000);
            check(&place, &model);
        }
    }
}

fn minute(customer: &'static str, minute: i64) -> MinuteRow<'static> {
    let minute = at(minute * 60);
    MinuteRow {
        customer,
        key_id: "k",
        route: "r",
        minute,
        ending: "completed",
        requests: 1,
        currency: None,
        nanos: crate::model::Nanos::ZERO,
        units: 2,
    }
}

#[test]
fn a_false_number_brings_no_units_to_another_account() {
    let mut place = Place::new();
    let two = vec![row("a", 0, None, 1), row("b", 0, None, 1)];
    place.store.put(&Commit { usage: two, ..empty(1) }).unwrap();
    let accounts = &mut place.store.ids.accounts;
    let fingerprint = accounts.fingerprint(&("acme", "", "b", 0_i64, None::<Timestamp>));
    assert_eq!(accounts.find(&fingerprint), Some(AccountId(2)));
    for false_one in [1, 77] {
        place.store.ids.accounts.put(fingerprint, AccountId(false_one));
        let usage = vec![row("b", 0, None, 5)];
        place.store.put(&Commit { usage, ..empty(1 + u64::from(false_one)) }).unwrap();
        assert_eq!(place.store.ids.accounts.find(&fingerprint), Some(AccountId(2)));
    }
    let found: Vec<_> = loaded(&place.store, 0).into_values().collect();
    assert_eq!(found, [(None, 1), (None, 11)]);
}

#[test]
fn what_a_commit_that_failed_made_is_not_remembered() {
    let mut place = Place::new();
    place.store.put(&Commit { minutes: vec![minute("a", 0)], ..empty(1) }).unwrap();
    // A position that is not ahead is refused; here the next one's rows come first.
    place
        .by_hand("CREATE TRIGGER t BEFORE INSERT ON key_hours BEGIN SELECT RAISE(ABORT, ''); END")
        .unwrap();
    let failed = Commit { minutes: vec![minute("b", 1)], ..empty(2) };
    place.store.put(&failed).unwrap_err();
    place.by_hand("DROP TRIGGER t").unwrap();
    // Takes the number that the failed one had.
    place.store.put(&Commit { minutes: vec![minute("c", 1)], ..empty(3) }).unwrap();
    place.store.put(&Commit { minutes: vec![minute("b", 1)], ..empty(4) }).unwrap();
    for (customer, at) in [("a", 0), ("b", 1), ("c", 1)] {
        let key = (at, "k".to_owned(), "completed".to_owned());
        assert_eq!(minutes(&place.store, customer), [(key, (1, 2))], "{customer}");
    }
}

/// Seen by what somebody else took away meanwhile.
#[test]
fn hours_and_uses_are_written_when_they_grow() {
    let mut place = Place::new();
    let count = |place: &Place, table: &str| -> i64 {
        let connection = Connection::open(place.path()).unwrap();
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let mut counts = Vec::new();
    for (number, at) in (1..).zip([5, 5, 4, 6, 60, 6, 60]) {
        place.by_hand("DELETE FROM usage_hours; DELETE FROM key_hours").unwrap();
        place.store.put(&Commit { minutes: vec![minute("a", at)], ..empty(number) }).unwrap();
        counts.push((count(&place, "usage_hours"), count(&place, "key_hours")));
    }
    // The first; known; late; a later minute of that hour; another hour; late, in another hour; known.
    assert_eq!(counts, [(1, 1), (0, 0), (0, 0), (0, 0), (1, 1), (1, 0), (0, 0)]);
}

#[test]
fn what_is_asked_for_is_kept_longest() {
    let mut memory = crate::store::sqlite::ids::Remembered::default();
    let keys: Vec<_> = (0..12).map(|number| memory.fingerprint(&number)).collect();
    for (number, key) in keys.iter().enumerate() {
        memory.put(*key, number);
        assert_eq!(memory.find(&keys[0]), Some(0));
    }
    let left: BTreeSet<_> = keys.iter().filter_map(|key| memory.find(key)).collect();
    assert!(left.contains(&0) && left.contains(&11) && !left.contains(&1), "{left:?}");
    assert!(left.len() <= 8);
}

#[test]
fn what_nobody_asks_for_goes_with_the_second_hour() {
    let mut place = Place::new();
    let usage = || vec![row("a", 0, None, 1)];
    place.store.put(&Commit { usage: usage(), ..empty(7200) }).unwrap();
    let fingerprint =
        place.store.ids.accounts.fingerprint(&("acme", "", "a", 0_i64, None::<Timestamp>));
    place.store.put(&empty(7300)).unwrap();
    place.store.put(&empty(10_800)).unwrap();
    assert_eq!(place.store.ids.accounts.find(&fingerprint), Some(AccountId(1)));
    place.store.put(&empty(14_400)).unwrap();
    place.store.put(&empty(18_000)).unwrap();
    assert_eq!(place.store.ids.accounts.find(&fingerprint), None);
}
