//! Changes, reloads and a store that fails, in the orders in which they can meet.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{
    clock::Clock,
    config::Loaded,
    gateway::ReloadError,
    ledger::Ledger,
    model::Nanos,
    roster::Conflict,
    store::{Sqlite, Store, Verdict, records::Reads},
};

/// Finer than what is stored.
const NOW: &str = "2026-11-20T12:00:00.123456789Z";

const TABLES: &str = r#"
[server]
listen = "127.0.0.1:0"

[upstreams.api]
url = "http://127.0.0.1:1"

[[routes]]
path = "/{*rest}"
upstream = "api"

[plans.starter]
quotas = [{ limit = 5, window = "month" }]
"#;

const PRO: &str = "[plans.pro]\nquotas = [{ limit = 10, window = \"month\" }]\n";

/// Something to do in a change.
type Work<'a> = &'a dyn Fn(&mut Change<'_>) -> Result<(), Rejection>;

/// A gateway without threads, and its store.
struct Place {
    temp: TempDir,
    gateway: Gateway,
    store: Sqlite,
}

impl Place {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("faregate.toml");
        let text = format!("{TABLES}{PRO}");
        fs::write(&file, &text).unwrap();
        let config = Loaded::parse(&text, &file).into_config().unwrap();
        let now = NOW.parse().unwrap();
        let clock = Arc::new(Clock::manual(now));
        let gateway = Gateway::new(&config, Some(file), Ledger::new(Timestamp::MIN), clock);
        let store = Sqlite::open(&temp.path().join("faregate.db")).unwrap();
        Self { temp, gateway, store }
    }

    /// Does works in one transaction, as the keeper does them, and then looks around before memory is
    /// told.
    fn transact<const N: usize>(
        &mut self,
        works: [Work<'_>; N],
        before_the_end: impl FnOnce(&Other<'_>),
    ) -> Vec<Result<Applied, Rejection>> {
        let mut results = Vec::new();
        let mut left = works.iter();
        let mut before_the_end = Some(before_the_end);
        let (gateway, other) = (&self.gateway, Other { temp: &self.temp, gateway: &self.gateway });
        let outcome = self.store.transact(&mut |records| {
            let Some(work) = left.next() else {
                if let Some(look) = before_the_end.take() {
                    look(&other);
                }
                return Verdict::Done;
            };
            let mut change = Change::new(records, gateway, "test");
            let done = work(&mut change);
            let result = done.and_then(|()| Ok(change.finish()?));
            let verdict = if result.is_ok() { Verdict::Keep } else { Verdict::Undo };
            results.push(result);
            verdict
        });
        outcome.unwrap();
        results
    }

    fn other(&self) -> Other<'_> {
        Other { temp: &self.temp, gateway: &self.gateway }
    }

    /// Makes one change, and lets memory know.
    fn make(&mut self, work: Work<'_>) {
        for result in self.transact([work], |_| ()) {
            result.unwrap().apply(&self.gateway);
        }
    }
}

/// Somebody who reloads meanwhile.
struct Other<'a> {
    temp: &'a TempDir,
    gateway: &'a Gateway,
}

impl Other<'_> {
    fn reload(&self, more: &str) -> Result<(), Vec<Conflict>> {
        fs::write(self.temp.path().join("faregate.toml"), format!("{TABLES}{more}")).unwrap();
        match self.gateway.reload() {
            Ok(()) => Ok(()),
            Err(ReloadError::Conflicts(conflicts)) => Err(conflicts),
            Err(error) => panic!("{error}"),
        }
    }
}

fn create(change: &mut Change<'_>, plan: &str) -> Result<(), Rejection> {
    let new = json!({"id": "acme", "subscription": {"plan": plan}});
    change.create_customer(serde_json::from_value(new).unwrap()).map(drop)
}

fn create_key(change: &mut Change<'_>) -> Result<(), Rejection> {
    let new = json!({"id": "k", "digest": crate::model::KeyDigest::of(b"k").to_string()});
    change.create_key("acme", serde_json::from_value(new).unwrap()).map(drop)
}

fn grant(change: &mut Change<'_>, amount: &str, expires: Option<&str>) -> Result<(), Rejection> {
    let new = json!({"amount": amount, "currency": "USD", "expires": expires});
    change.grant("acme", serde_json::from_value(new).unwrap()).map(drop)
}

fn owe(change: &mut Change<'_>, amount: &str) -> Result<(), Rejection> {
    let new = json!({"credit": "USD", "amount": format!("-{amount}"), "reason": "test"});
    change.adjust("acme", serde_json::from_value(new).unwrap()).map(drop)
}

/// What is left of all grants, and what is owed: in memory, and at rest.
fn money(place: &Place) -> [(i64, i64); 2] {
    let accounts = place.gateway.ledger().customer("acme");
    let left: Nanos = accounts.grants().iter().map(|(_, left)| *left).sum();
    let reads = place.store.reads();
    let at_rest: Nanos =
        reads.grants("acme", None, 9).unwrap().iter().map(|grant| grant.left).sum();
    let owed: Nanos = reads.owed("acme").unwrap().iter().map(|owed| owed.nanos).sum();
    let unit = 1_000_000_000;
    let debt = accounts.debt("USD".parse().unwrap());
    [(left, debt), (at_rest, owed)].map(|(left, owed)| (left.0 / unit, owed.0 / unit))
}

#[test]
fn what_is_owed_is_repaid_once_by_grants_of_one_transaction() {
    let mut place = Place::new();
    place.make(&|change| create(change, "pro"));
    place.make(&|change| owe(change, "5"));
    let undone =
        place.transact([&|change| grant(change, "3", Some("2020-01-01T00:00:00Z"))], |_| ());
    assert!(undone[0].is_err());
    let grants: [Work<'_>; 3] =
        [&|one| grant(one, "3", None), &|one| grant(one, "4", None), &|one| grant(one, "5", None)];
    for made in place.transact(grants, |_| ()) {
        made.unwrap().apply(&place.gateway);
    }
    assert_eq!(money(&place), [(7, 0); 2]);
}

#[test]
fn what_a_change_that_is_undone_would_repay_is_repaid_by_the_next() {
    let mut place = Place::new();
    place.make(&|change| create(change, "pro"));
    place.make(&|change| owe(change, "5"));
    let refuse: Work<'_> =
        &|change| grant(change, "3", None).and(Err(Rejection::field("x", "refused")));
    assert!(place.transact([refuse], |_| ())[0].is_err());
    place.make(&|change| grant(change, "6", None));
    assert_eq!(money(&place), [(1, 0); 2]);
}

#[test]
fn what_is_owed_is_repaid_once_by_grants_that_end_together() {
    let mut place = Place::new();
    place.make(&|change| create(change, "pro"));
    let end = "2026-11-20T13:00:00Z";
    place.make(&|change| grant(change, "4", Some(end)));
    place.make(&|change| grant(change, "4", Some(end)));
    place.make(&|change| owe(change, "3"));
    place.gateway.clock().set(end.parse().unwrap());
    place.make(&|change| change.expire_grants(9).map(drop));
    assert_eq!(money(&place), [(0, 0); 2]);
}

fn correct(change: &mut Change<'_>, amount: &str) -> Result<(), Rejection> {
    let input = json!({ "quota": "month", "amount": amount, "reason": "test" });
    change.adjust("acme", serde_json::from_value(input).unwrap()).map(drop)
}

#[test]
fn what_is_used_is_given_back_once_by_corrections_of_one_transaction() {
    let mut place = Place::new();
    place.make(&|change| create(change, "pro"));
    place.make(&|change| correct(change, "-7"));
    let refused: Work<'_> =
        &|change| correct(change, "7").and(Err(Rejection::field("x", "refused")));
    let works: [Work<'_>; 5] = [
        refused,
        &|change| correct(change, "5"),
        &|change| correct(change, "5"),
        &|change| correct(change, "-1"),
        &|change| correct(change, "3"),
    ];
    let results = place.transact(works, |_| ());
    assert!(
        matches!(results[..], [Err(_), Ok(_), Err(_), Ok(_), Ok(_)]),
        "2 are used behind the first, 3 behind the charge: {results:?}"
    );
    results.iter().flatten().for_each(|made| made.apply(&place.gateway));
    let mut at_rest = None;
    place.store.usage_of("acme", &mut |row| at_rest = Some(row.used)).unwrap();
    assert_eq!(at_rest, Some(0));
    // Memory has the same: nothing is left to give back, and what was dropped later counts once.
    drop(results);
    assert!(place.transact([&|change| correct(change, "1")], |_| ())[0].is_err());
    place.make(&|change| correct(change, "-1"));
    place.make(&|change| correct(change, "1"));
}

fn acme_in_file() -> String {
    format!("{PRO}[customers.acme]\nplan = \"pro\"\n")
}

fn key_in_file(id: &str, key: &str) -> String {
    let digest = crate::model::KeyDigest::of(key.as_bytes());
    format!(
        "{PRO}[customers.other]\nplan = \"pro\"\nkeys = [{{ id = \"{id}\", digest = \"{digest}\" }}]\n"
    )
}

#[test]
fn refused_change_gives_up_its_own_claim_alone() {
    let mut place = Place::new();
    let declared = Err(vec![Conflict::Customer("acme".to_owned())]);
    let works: [Work<'_>; 2] = [&|change| create(change, "pro"), &|change| create(change, "pro")];
    let results = place.transact(works, |other| {
        assert_eq!(other.reload(&acme_in_file()), declared, "the first is about to be stored");
    });
    assert!(matches!(results[..], [Ok(_), Err(Rejection::AlreadyExists(_))]), "{results:?}");
    for result in results.iter().flatten() {
        result.apply(&place.gateway);
    }
    drop(results);
    assert_eq!(place.other().reload(&acme_in_file()), declared);
    let works: [Work<'_>; 2] = [&create_key, &create_key];
    let results = place.transact(works, |other| {
        let expected = Err(vec![Conflict::Key("k".to_owned())]);
        assert_eq!(other.reload(&key_in_file("k", "another")), expected);
        let expected = Err(vec![Conflict::Digest("another".to_owned())]);
        assert_eq!(other.reload(&key_in_file("another", "k")), expected);
    });
    assert!(matches!(results[..], [Ok(_), Err(Rejection::AlreadyExists(_))]), "{results:?}");
}

#[test]
fn plan_that_a_change_is_about_to_use_is_not_dropped() {
    let mut place = Place::new();
    let conflict = || Err(vec![Conflict::Plan { plan: "pro".to_owned(), subscriptions: 1 }]);
    let results = place.transact([&|change| create(change, "pro")], |other| {
        assert_eq!(other.reload(""), conflict());
    });
    let applied = results.into_iter().next().unwrap().unwrap();
    assert_eq!(place.other().reload(""), conflict());
    applied.apply(&place.gateway);
    drop(applied);
    assert_eq!(place.other().reload(""), conflict());
    let starter = |change: &mut Change<'_>| {
        let input = serde_json::from_value(json!({"plan": "starter"})).unwrap();
        change.put_subscription("acme", &input).map(drop)
    };
    place.make(&starter);
    assert_eq!(place.other().reload(""), Ok(()));
}

#[test]
fn plan_that_was_dropped_meanwhile_is_not_given() {
    let mut place = Place::new();
    let (temp, gateway) = (place.temp.path().join("faregate.toml"), &place.gateway);
    let result = place.store.transact(&mut |records| {
        let mut change = Change::new(records, gateway, "test");
        fs::write(&temp, TABLES).unwrap();
        gateway.reload().unwrap();
        match create(&mut change, "pro") {
            Err(Rejection::Invalid(errors)) => assert_eq!(errors[0].field, "subscription.plan"),
            other => panic!("{other:?}"),
        }
        Verdict::Done
    });
    result.unwrap();
    assert!(place.gateway.live().plans_in_use().is_empty());
}

#[test]
fn customer_is_not_declared_before_it_is_wholly_gone() {
    let mut place = Place::new();
    place.make(&|change| create(change, "pro"));
    let gone = |change: &mut Change<'_>| change.delete_customer("acme");
    let results = place.transact([&gone], |_| ());
    let applied = results.into_iter().next().unwrap().unwrap();
    applied.apply(&place.gateway);
    let declared = Err(vec![Conflict::Customer("acme".to_owned())]);
    assert_eq!(place.other().reload(&acme_in_file()), declared);
    drop(applied);
    assert_eq!(place.other().reload(&acme_in_file()), Ok(()));
}

#[test]
fn what_is_not_committed_is_neither_in_memory_nor_claimed() {
    let mut place = Place::new();
    let gateway = &place.gateway;
    let mut applied = Vec::new();
    let result = place.store.transact(&mut |records| {
        if !applied.is_empty() {
            return Verdict::Done;
        }
        let mut change = Change::new(records, gateway, "test");
        create(&mut change, "pro").unwrap();
        create_key(&mut change).unwrap();
        applied.push(change.finish().unwrap());
        // As a keeper sees it whose disk is full.
        Verdict::Undo
    });
    result.unwrap();
    drop(applied);
    let live = place.gateway.live();
    assert_eq!((live.customer_count(), live.key_count()), (0, 0));
    assert!(live.plans_in_use().is_empty());
    assert_eq!(place.other().reload(&acme_in_file()), Ok(()));
    assert_eq!(place.other().reload(&key_in_file("k", "k")), Ok(()));
    assert_eq!(place.other().reload(""), Ok(()));
}

#[test]
fn times_are_answered_as_they_are_stored() {
    let mut place = Place::new();
    place.make(&|change| {
        let new = json!({"id": "acme", "subscription": {"plan": "pro"}});
        let made = change.create_customer(serde_json::from_value(new).unwrap())?;
        assert_eq!(change.records().customer("acme")?, Some(made));
        create_key(change)
    });
    place.make(&|change| {
        let input = json!({"plan": "starter", "change": "restart"});
        let input = serde_json::from_value(input).unwrap();
        let (held, _) = change.put_subscription("acme", &input)?;
        assert!(held.restarted.is_some());
        assert_eq!(change.records().subscription("acme")?, Some(held));
        let input = serde_json::from_value(json!({"grace": "1h"})).unwrap();
        let successor = change.rotate_key("k", &input)?.record;
        let entries = change.records().audit(None, None, 1)?;
        let before = serde_json::to_value(change.records().key("k")?).unwrap();
        assert_eq!(entries[0].1.after, Some(before));
        assert_eq!(change.records().key(&successor.id)?, Some(successor));
        change.revoke_key("k")?;
        let entries = change.records().audit(None, None, 1)?;
        let after = serde_json::to_value(change.records().key("k")?).unwrap();
        assert_eq!(entries[0].1.after, Some(after));
        Ok(())
    });
}
