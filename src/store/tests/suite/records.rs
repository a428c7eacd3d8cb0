//! What is put comes back, in order and page by page.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::*;
use crate::{
    ledger::{Rate, WindowKind},
    model::{Align, ChangeRule, NextPlan, OverageTerms, PlanChange, QuotaTerms, StatusName},
};

fn limits() -> OwnLimits {
    let quota = QuotaTerms {
        name: "day".into(),
        limit: 7,
        window: WindowKind::Day,
        align: Some(Align::Anchor),
        zone: Some(jiff::tz::TimeZone::get("Europe/Berlin").unwrap()),
        renamed_from: Some("old".into()),
        overage: Some(OverageTerms { price: "0.001 USD".parse().unwrap() }),
    };
    OwnLimits {
        quotas: Some(vec![quota]),
        rate: Some(Rate { limit: 1, window: Duration::from_secs(2), burst: 3 }),
        concurrency: Some(4),
    }
}

fn full_customer() -> CustomerRecord {
    CustomerRecord {
        name: Some("Acme".into()),
        metadata: BTreeMap::from([("a".into(), "b".into())]),
        suspended: true,
        limits: limits(),
        spend_cap: Some("50 USD".parse().unwrap()),
        webhook: Some(WebhookRecord {
            url: "https://example.com".into(),
            secret: "whsec_x".into(),
            disabled: Some("gone".into()),
        }),
        updated_at: at(9),
        ..customer("acme")
    }
}

fn full_terms() -> SubscriptionTerms {
    SubscriptionTerms {
        status: StatusName::PastDue,
        anchor: Some(at(1)),
        starts: Some(at(2)),
        trial_end: Some(at(3)),
        past_due_since: Some(at(4)),
        cancel_at: Some(at(5)),
        period_start: Some(at(6)),
        period_end: Some(at(7)),
        pause_collection: true,
        grace: Some(Duration::from_millis(8)),
        changed: Some(Box::new(PlanChange {
            rule: ChangeRule::Prorate,
            at: at(10),
            before: BTreeMap::from([(Arc::from("day"), 11)]),
        })),
        restarted: Some(at(13)),
        next: Some(Box::new(NextPlan { plan: "big".into(), at: at(12), rule: ChangeRule::Defer })),
        ..SubscriptionTerms::new("small".into())
    }
}

fn full_key() -> KeyRecord {
    KeyRecord {
        application: Some("app".into()),
        name: Some("a key".into()),
        hint: Some("fg_live_…abcd".into()),
        env: Some(Environment::Test),
        scopes: vec!["read".into(), "write".into()],
        allow_from: vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        expires: Some(at(20)),
        status: KeyState::Revoked,
        revoked_at: Some(at(10)),
        replaced_by: Some("k2".into()),
        lineage: "k0".into(),
        limits: limits(),
        ..key("k1", "acme")
    }
}

#[test]
fn customers_come_back_whole_and_are_replaced_whole() {
    let mut place = Place::new();
    let terms = full_terms();
    for (customer, terms) in [
        (full_customer(), terms.clone()),
        (customer("acme"), SubscriptionTerms::new("other".into())),
        (full_customer(), terms),
    ] {
        place
            .write(|records| {
                records.put_customer(&customer)?;
                records.put_subscription("acme", &terms)?;
                // A transaction sees what it wrote.
                assert_eq!(records.customer("acme")?, Some(customer.clone()));
                Ok(())
            })
            .unwrap();
        let reads = place.store.reads();
        assert_eq!(reads.customer("acme").unwrap(), Some(customer.clone()));
        assert_eq!(reads.subscription("acme").unwrap(), Some(terms.clone()));
        assert_eq!(reads.customers(None, 9).unwrap(), [(customer, Some(terms))]);
    }
    assert_eq!(place.store.reads().customer("Acme").unwrap(), None);
    assert_eq!(place.store.reads().subscription("none").unwrap(), None);
}

#[test]
fn customers_come_in_pages() {
    let mut place = Place::new();
    place
        .write(|records| {
            ["b", "", "c", "a"].iter().try_for_each(|id| records.put_customer(&customer(id)))
        })
        .unwrap();
    let page = |after, max| {
        let page = place.store.reads().customers(after, max).unwrap();
        page.into_iter().map(|(customer, _)| customer.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), ["", "a"]);
    assert_eq!(page(Some("a"), 2), ["b", "c"]);
    assert_eq!(page(Some("aa"), 9), ["b", "c"]);
    assert_eq!(page(Some("c"), 2), [""; 0]);
}

#[test]
fn keys_come_back_whole_by_id_digest_and_owner() {
    let mut place = Place::new();
    let key_1 = full_key();
    place
        .write(|records| {
            records.put_key(&key("k1", "someone"))?;
            records.put_key(&key_1)?;
            records.put_key(&key("k3", "acme"))?;
            records.put_key(&key("k2", "other"))
        })
        .unwrap();
    let reads = place.store.reads();
    assert_eq!(reads.key("k1").unwrap(), Some(key_1.clone()));
    assert_eq!(reads.key_by_digest(&key_1.digest).unwrap(), Some(key_1.clone()));
    assert_eq!(reads.key_by_digest(&KeyDigest::of(b"no")).unwrap(), None);
    assert_eq!(reads.keys_of("acme", None, 1).unwrap(), [key_1]);
    assert_eq!(reads.keys_of("acme", Some("k1"), 9).unwrap(), [key("k3", "acme")]);
    drop(reads);
    // Two keys with one digest would be one key with two owners.
    let twin = KeyRecord { digest: key("k3", "").digest, ..key("k4", "acme") };
    place.write(|records| records.put_key(&twin)).unwrap_err();
}

#[test]
fn the_last_use_is_the_latest_minute_and_outlives_a_change_of_the_key() {
    let mut place = Place::new();
    place.write(|records| records.put_key(&key("k", "acme"))).unwrap();
    let minute = |key_id, start| MinuteRow {
        customer: "acme",
        key_id,
        route: "r",
        minute: at(start),
        ending: "completed",
        requests: 1,
        currency: None,
        nanos: crate::model::Nanos::ZERO,
        units: 1,
    };
    let minutes = vec![minute("k", 60), minute("declared", 60)];
    place.store.put(&Commit { minutes, ..empty(1) }).unwrap();
    place.store.put(&Commit { minutes: vec![minute("k", 120)], ..empty(2) }).unwrap();
    place.store.put(&Commit { minutes: vec![minute("k", 0)], ..empty(3) }).unwrap();
    // Of somebody else, and late.
    let other = MinuteRow { customer: "other", ..minute("k", 180) };
    place.store.put(&Commit { minutes: vec![other], ..empty(4) }).unwrap();
    let changed = KeyRecord { name: Some("n".into()), ..key("k", "acme") };
    place.write(|records| records.put_key(&changed)).unwrap();
    let reads = place.store.reads();
    assert_eq!(reads.key("k").unwrap().unwrap().last_used, Some(at(120)));
    assert_eq!(reads.last_used("acme", "k").unwrap(), Some(at(120)));
    assert_eq!(reads.last_used("acme", "declared").unwrap(), Some(at(60)));
    assert_eq!(reads.last_used("acme", "none").unwrap(), None);
}

#[test]
fn everything_is_loaded_with_what_belongs_to_it() {
    let mut place = Place::new();
    let application = |customer: &str, name: &str| ApplicationRecord {
        customer: customer.into(),
        name: name.into(),
        limits: limits(),
        created_at: at(3),
    };
    place
        .write(|records| {
            for id in ["b", "a", "d"] {
                records.put_customer(&customer(id))?;
            }
            records.put_subscription("b", &full_terms())?;
            // Of `c` and `e` there is nothing else.
            for (customer, name) in [("b", "y"), ("b", "x"), ("c", "x"), ("d", "z"), ("e", "x")] {
                records.put_application(&application(customer, name))?;
            }
            records.put_application(&application("b", "gone"))?;
            records.delete_application("b", "gone")?;
            records.put_key(&full_key())?;
            records.put_key(&key("k0", "a"))
        })
        .unwrap();
    let reads = place.store.reads();
    let mut found = Vec::new();
    reads.load_customers(&mut |record, terms, own| found.push((record, terms, own))).unwrap();
    let b = vec![application("b", "x"), application("b", "y")];
    assert_eq!(reads.applications("b").unwrap(), b);
    let expected = [
        (customer("a"), None, Vec::new()),
        (customer("b"), Some(full_terms()), b),
        (customer("d"), None, vec![application("d", "z")]),
    ];
    assert_eq!(found, expected);
    let mut keys = Vec::new();
    reads.load_keys(&mut |key| keys.push(key)).unwrap();
    assert_eq!(keys, [key("k0", "a"), full_key()]);
}

#[test]
fn what_ends_soon_is_found_in_the_order_of_its_end() {
    let mut place = Place::new();
    let terms = |status, trial_end: Option<i64>, cancel_at: Option<i64>| SubscriptionTerms {
        status,
        trial_end: trial_end.map(at),
        cancel_at: cancel_at.map(at),
        ..SubscriptionTerms::new("p".into())
    };
    use StatusName::{Active, Trialing};
    place
        .write(|records| {
            for (id, terms) in [
                ("at the end", terms(Active, None, Some(20))),
                ("cancelled", terms(Active, None, Some(15))),
                ("first", terms(Active, None, Some(10))),
                ("over", terms(Trialing, Some(5), None)),
                ("trial", terms(Trialing, Some(12), Some(30))),
                ("trial of old", terms(Active, Some(12), None)),
                ("without", terms(Active, None, None)),
            ] {
                records.put_subscription(id, &terms)?;
            }
            for (id, expires, status) in [
                ("k1", Some(15), KeyState::Active),
                ("k2", Some(10), KeyState::Active),
                ("k3", Some(12), KeyState::Disabled),
                ("k4", Some(20), KeyState::Active),
                ("k5", None, KeyState::Active),
            ] {
                records.put_key(&KeyRecord { expires: expires.map(at), status, ..key(id, "a") })?;
            }
            Ok(())
        })
        .unwrap();
    let reads = place.store.reads();
    let window = Window { start: at(10), end: Some(at(20)) };
    let ending = |by, start, after: &str, max| {
        let window = Window { start: at(start), end: Some(at(20)) };
        let found = reads.subscriptions_ending(by, window, after, max).unwrap();
        found.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let (cancel, trial) = (SubscriptionEnd::CancelAt, SubscriptionEnd::TrialEnd);
    assert_eq!(ending(cancel, 10, "", 9), ["first", "cancelled"]);
    assert_eq!(ending(cancel, 10, "", 1), ["first"]);
    assert_eq!(ending(cancel, 10, "first", 9), ["cancelled"]);
    assert_eq!(ending(trial, 10, "", 9), ["trial"]);
    let expiring = |after: &str, max| {
        let found = reads.keys_expiring(window, after, max).unwrap();
        found.into_iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert_eq!(expiring("", 9), ["k2", "k1"]);
    assert_eq!(expiring("", 1), ["k2"]);
    assert_eq!(expiring("k2", 9), ["k1"]);
}

#[test]
fn the_audit_is_told_backwards_and_corrections_forwards() {
    let mut place = Place::new();
    let entry = |customer: Option<&str>, second| AuditRecord {
        at: at(second),
        actor: "admin".into(),
        action: "customer.update".into(),
        customer: customer.map(Into::into),
        subject: "s".into(),
        before: None,
        after: Some(json!({"a": [1, null]})),
    };
    let correction = |id: &str, amount| AdjustmentRecord {
        id: id.into(),
        at: at(5),
        customer: "acme".into(),
        scope: "key/k".into(),
        quota: "day".into(),
        window: Window { start: at(0), end: None },
        amount,
        used: 5,
        reason: "why".into(),
        actor: "admin".into(),
    };
    place
        .write(|records| {
            records.append_audit(&entry(Some("acme"), 1))?;
            records.append_audit(&entry(None, 2))?;
            records.append_audit(&entry(Some("acme"), 3))?;
            records.append_adjustment(&correction("adj_1", 2))?;
            records.append_adjustment(&correction("adj_2", -2))
        })
        .unwrap();
    let reads = place.store.reads();
    let all = reads.audit(None, None, 9).unwrap();
    assert_eq!(all.iter().map(|(_, entry)| entry.at).collect::<Vec<_>>(), [at(3), at(2), at(1)]);
    assert_eq!(all[1].1, entry(None, 2));
    assert_eq!(reads.audit(None, Some(all[0].0), 1).unwrap(), all[1..2]);
    let of_acme = reads.audit(Some("acme"), None, 9).unwrap();
    assert_eq!(of_acme, [all[0].clone(), all[2].clone()]);
    assert_eq!(reads.audit(Some("acme"), Some(all[0].0), 9).unwrap(), all[2..]);
    let corrections = reads.adjustments("acme", None, 9).unwrap();
    let (first, second) = (correction("adj_1", 2), correction("adj_2", -2));
    assert_eq!(corrections, [(1, first), (2, second.clone())]);
    assert_eq!(reads.adjustments("acme", Some(1), 9).unwrap(), [(2, second)]);
    assert_eq!(reads.adjustments("other", None, 9).unwrap(), []);
    drop(reads);
    // An id stands once.
    place.write(|records| records.append_adjustment(&correction("adj_1", 2))).unwrap_err();
}

#[test]
fn what_is_only_appended_to_cannot_be_changed_by_any_program() {
    let mut place = Place::new();
    place
        .write(|records| {
            let (actor, action, subject) = ("a".into(), "b".into(), "c".into());
            let (before, after) = (None, None);
            let entry =
                AuditRecord { at: at(1), actor, action, customer: None, subject, before, after };
            records.append_audit(&entry)?;
            records.append_adjustment(&AdjustmentRecord {
                id: "adj".into(),
                at: at(5),
                customer: "acme".into(),
                scope: String::new(),
                quota: "day".into(),
                window: Window { start: at(0), end: None },
                amount: 1,
                used: 5,
                reason: "why".into(),
                actor: "admin".into(),
            })
        })
        .unwrap();
    for table in ["audit", "adjustments"] {
        for sql in [format!("UPDATE {table} SET actor = 'x'"), format!("DELETE FROM {table}")] {
            let error = place.by_hand(&sql).unwrap_err();
            assert!(error.to_string().contains("only appended to"), "{sql}: {error}");
        }
    }
    assert_eq!(place.store.reads().audit(None, None, 9).unwrap()[0].1.actor, "a");
}

#[test]
fn answers_and_settings_are_kept_and_answers_are_forgotten() {
    let mut place = Place::new();
    let answer = |key, second| IdempotencyRecord {
        key: [key; 32],
        request: [9; 32],
        status: 201,
        body: "{}".into(),
        at: at(second),
    };
    place
        .write(|records| {
            records.put_idempotent(&answer(1, 10), at(0))?;
            records.put_idempotent(&answer(2, 11), at(0))?;
            records.put_idempotent(&answer(3, 12), at(11))?;
            records.put_setting("a", "1")?;
            records.put_setting("a", "2")
        })
        .unwrap();
    let reads = place.store.reads();
    assert_eq!(reads.idempotent(&[1; 32]).unwrap(), None);
    assert_eq!(reads.idempotent(&[2; 32]).unwrap(), Some(answer(2, 11)));
    assert_eq!(reads.idempotent(&[3; 32]).unwrap(), Some(answer(3, 12)));
    assert_eq!(reads.setting("a").unwrap().as_deref(), Some("2"));
    assert_eq!(reads.setting("b").unwrap(), None);
}

#[test]
fn accounts_are_read_and_set_beside_the_folds() {
    let mut place = Place::new();
    let account = |start, end: Option<i64>| AccountKey {
        customer: "acme",
        scope: "",
        quota: "day",
        window: Window { start: at(start), end: end.map(at) },
    };
    place.store.put(&Commit { usage: vec![row("day", 0, Some(10), 7)], ..empty(1) }).unwrap();
    assert_eq!(place.store.reads().used(&account(0, Some(10))).unwrap(), 7);
    assert_eq!(place.store.reads().used(&account(10, None)).unwrap(), 0);
    let told = |told| ThresholdRecord { told, limit: 100 };
    place
        .write(|records| {
            records.add_used(
                Timestamp::UNIX_EPOCH,
                &account(0, Some(10)),
                -4,
                (crate::store::records::EntryKind::Corrected, None),
            )?;
            records.add_used(
                Timestamp::UNIX_EPOCH,
                &account(10, Some(20)),
                4,
                (crate::store::records::EntryKind::Corrected, None),
            )?;
            assert!(records.put_threshold(&account(0, Some(10)), None, &told(50))?);
            assert!(!records.put_threshold(&account(0, Some(10)), None, &told(100))?);
            assert!(records.put_threshold(&account(0, Some(10)), Some(&told(50)), &told(80))?);
            assert!(!records.put_threshold(&account(0, Some(10)), Some(&told(50)), &told(100))?);
            assert!(!records.put_threshold(&account(50, None), Some(&told(50)), &told(80))?);
            assert!(records.put_threshold(&account(10, Some(20)), None, &told(50))?);
            assert!(records.put_threshold(&account(30, None), None, &told(0))?);
            Ok(())
        })
        .unwrap();
    place.store.put(&Commit { usage: vec![row("day", 0, Some(10), 1)], ..empty(2) }).unwrap();
    let reads = place.store.reads();
    assert_eq!(reads.used(&account(0, None)).unwrap(), 4);
    assert_eq!(reads.used(&account(10, None)).unwrap(), 4);
    assert_eq!(reads.threshold(&account(0, None)).unwrap(), Some(told(80)));
    assert_eq!(reads.threshold(&account(30, None)).unwrap(), Some(told(0)));
    let ended = |now, max| {
        let ended = reads.ended_thresholds(at(now), max).unwrap();
        ended.into_iter().map(|(account, _)| account.window.start).collect::<Vec<_>>()
    };
    assert_eq!(ended(9, 9), []);
    assert_eq!(ended(10, 9), [at(0)]);
    assert_eq!(ended(99, 9), [at(0), at(10)]);
    assert_eq!(ended(99, 1), [at(0)]);
    drop(reads);
    place.write(|records| records.delete_threshold(&account(0, None))).unwrap();
    assert_eq!(place.store.reads().threshold(&account(0, None)).unwrap(), None);
}

#[test]
fn a_row_that_somebody_else_spoilt_is_named() {
    for (sql, expected) in [
        ("UPDATE customers SET limits = '{'", "table customers, row acme: limits"),
        ("UPDATE customers SET created_at = 9223372036854775807", "row acme: created_at"),
        ("UPDATE subscriptions SET status = 'happy'", "table subscriptions, row acme: status"),
        ("UPDATE subscriptions SET next = '[]'", "table subscriptions, row acme: next"),
        ("UPDATE subscriptions SET grace = -1", "row acme: grace"),
        ("UPDATE applications SET limits = '1'", "table applications, row app: limits"),
        ("UPDATE keys SET digest = x'00'", "table keys, row k1: digest"),
        ("UPDATE keys SET env = 'moon'", "table keys, row k1: env"),
        ("UPDATE keys SET allow_from = '[\"x\"]'", "table keys, row k1: allow_from"),
    ] {
        let mut place = Place::new();
        place
            .write(|records| {
                records.put_customer(&full_customer())?;
                records.put_subscription("acme", &full_terms())?;
                records.put_application(&ApplicationRecord {
                    customer: "acme".into(),
                    name: "app".into(),
                    limits: limits(),
                    created_at: at(1),
                })?;
                records.put_key(&full_key())
            })
            .unwrap();
        place.by_hand(sql).unwrap();
        let reads = place.store.reads();
        let found = match sql.split(' ').nth(1).unwrap() {
            "keys" => reads.load_keys(&mut |_| ()),
            _ => reads.load_customers(&mut |_, _, _| ()),
        };
        let error = told(&found.unwrap_err());
        assert!(error.contains(expected), "{sql}: {error}");
    }
}
