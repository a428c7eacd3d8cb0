//! The stores against real databases: what both promise, and what each needs for that.

mod copying;
mod failures;
mod lead;
mod leases;
mod meanwhile;
mod postgres;
mod relay;
pub(super) mod sqlite;

use std::{collections::BTreeMap, mem, thread, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;

use super::{records::*, *};
use crate::{
    ledger::Window,
    model::{Environment, KeyDigest, KeyState, OwnLimits, SubscriptionTerms},
};

pub(super) fn customer(id: &str) -> CustomerRecord {
    CustomerRecord {
        id: id.into(),
        name: None,
        metadata: BTreeMap::new(),
        suspended: false,
        limits: OwnLimits::default(),
        spend_cap: None,
        webhook: None,
        created_at: at(1),
        updated_at: at(1),
    }
}

pub(super) fn key(id: &str, customer: &str) -> KeyRecord {
    KeyRecord {
        id: id.into(),
        customer: customer.into(),
        application: None,
        name: None,
        digest: KeyDigest::of(id.as_bytes()),
        hint: None,
        env: None,
        scopes: Vec::new(),
        allow_from: Vec::new(),
        expires: None,
        status: KeyState::Active,
        revoked_at: None,
        replaced_by: None,
        lineage: id.into(),
        limits: OwnLimits::default(),
        created_at: at(1),
        last_used: None,
    }
}

/// An error with its cause, as it is logged.
pub(super) fn told(error: &StoreError) -> String {
    format!("{error}: {}", std::error::Error::source(error).unwrap())
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn node() -> NodeId {
    NodeId(Uuid::from_u128(5))
}

pub(super) fn empty(sequence: u64) -> Commit<'static> {
    let latest = at(sequence.try_into().unwrap());
    let position = Position { worker: 1, segment: 2, offset: 64, sequence, latest };
    Commit {
        node: node(),
        now: at(0),
        usage: Vec::new(),
        credits: Vec::new(),
        consumed: Vec::new(),
        minutes: Vec::new(),
        opened: Vec::new(),
        closed: Vec::new(),
        positions: vec![position],
    }
}

/// A commit with nothing that goes along.
pub(super) trait Put {
    fn put(&mut self, commit: &Commit<'_>) -> Result<(), StoreError>;
}

impl<S: Store> Put for S {
    fn put(&mut self, commit: &Commit<'_>) -> Result<(), StoreError> {
        self.commit(commit, &mut |_| Ok(()))
    }
}

pub(super) fn row(
    quota: &'static str,
    start: i64,
    end: Option<i64>,
    used: u64,
) -> UsageRow<'static> {
    let window = Window { start: at(start), end: end.map(at) };
    UsageRow { customer: "acme", scope: "", quota, window, used }
}

pub(super) fn loaded(
    store: &dyn Store,
    now: i64,
) -> BTreeMap<(String, Timestamp), (Option<Timestamp>, u64)> {
    let mut found = BTreeMap::new();
    let mut each = |row: UsageRow<'_>| {
        found.insert((row.quota.to_owned(), row.window.start), (row.window.end, row.used));
    };
    store.load_usage(at(now), &mut each).unwrap();
    found
}
