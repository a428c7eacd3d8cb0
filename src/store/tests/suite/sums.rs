//! Sums are those of a naive book, whatever is remembered between folds, forgotten or undone.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

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
        Step::Reopen => place.reopen(),
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

fn used(place: &Place, customer: &str) -> u64 {
    let mut sum = 0;
    place.store.usage_of(customer, &mut |row| sum += row.used).unwrap();
    sum
}

fn minutes(place: &Place, customer: &str) -> Vec<(MinuteKey, (u64, u64))> {
    let mut found = Vec::new();
    let ever = Window { start: Timestamp::MIN, end: None };
    let mut each = |row: MinuteRow<'_>| {
        let key = (row.minute.as_second() / 60, row.key_id.to_owned(), row.ending.to_owned());
        found.push((key, (row.requests, row.units)));
    };
    place.store.minutes_of(customer, ever, &mut each).unwrap();
    found
}

/// Everybody's requests and units, by customer and key.
fn reported(place: &Place, customer: Option<&str>) -> BTreeMap<(String, String), (u64, u64)> {
    let by = Grouping { customer: true, key: true, ..Grouping::default() };
    let range = ReportRange { from: at(0), to: at(7200), customer, by };
    let mut found = BTreeMap::new();
    let mut each = |row: ReportRow| {
        found.insert((row.customer.unwrap(), row.key_id.unwrap()), (row.requests, row.units));
        true
    };
    place.store.reads().report(&range, &mut each).unwrap();
    found
}

fn check(place: &Place, model: &Model) {
    let mut expected = BTreeMap::<_, (u64, u64)>::new();
    let gone = model.owners.values().map(String::as_str);
    for owner in &CUSTOMERS.iter().copied().chain(gone).collect::<BTreeSet<_>>() {
        assert_eq!(used(place, owner), model.usage.get(*owner).copied().unwrap_or(0), "{owner}");
        let of_one = model.minutes.get(*owner).cloned().unwrap_or_default();
        let mut of_owner = BTreeMap::<_, (u64, u64)>::new();
        for ((_, key, _), (requests, units)) in &of_one {
            let sums = of_owner.entry(((*owner).to_owned(), key.clone())).or_default();
            *sums = (sums.0 + requests, sums.1 + units);
        }
        assert_eq!(reported(place, Some(owner)), of_owner, "{owner}");
        expected.append(&mut of_owner);
        assert_eq!(minutes(place, owner), of_one.into_iter().collect::<Vec<_>>(), "{owner}");
    }
    assert_eq!(reported(place, None), expected);
    for (customer, key) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (customer, key) = (CUSTOMERS[customer], key_of(customer, key));
        let latest =
            place.store.reads().last_used(customer, &key).unwrap().map(|at| at.as_second() / 60);
        assert_eq!(latest, model.uses.get(&key).copied(), "{key}");
        let read = place.store.reads().key(&key).unwrap().unwrap();
        assert_eq!(read.last_used.map(|at| at.as_second() / 60), latest, "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(Place::CASES))]

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
