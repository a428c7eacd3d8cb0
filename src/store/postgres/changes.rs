//! Changes that the other processes are to learn of: how they are told, and how they are read.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{connection::Connection, text, unsigned, value};
use crate::{
    model::SubscriptionTerms,
    store::{
        StoreError,
        records::{Announcement, ApplicationRecord, CustomerRecord, GrantRecord, KeyRecord},
        sql::{credits, customers, keys, query},
    },
};

/// For how long changes are kept. Who was away for longer reads everything anew.
const KEPT_MS: i64 = 3_600_000;

/// How many are read at once.
const TOGETHER: i64 = 1000;

/// Up to where there are changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// The number of the last one.
    pub number: u64,
    /// The number of the last one that cannot be read any more.
    pub dropped: u64,
}

/// A change that was told.
#[derive(Debug)]
pub struct Told {
    /// Its number.
    pub number: u64,
    /// The process that made it.
    pub run: u64,
    /// What it is about; `None` for what a newer version told.
    pub what: Option<Announcement>,
}

/// Everything that decides about a customer.
#[derive(Debug)]
pub struct Whole {
    /// It.
    pub customer: CustomerRecord,
    /// What it holds.
    pub subscription: Option<SubscriptionTerms>,
    /// By name.
    pub applications: Vec<ApplicationRecord>,
    /// By id, without their last use.
    pub keys: Vec<KeyRecord>,
}

/// What is stored of some customers.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that are there.
    pub customers: Vec<Whole>,
    /// Grants of which something is left, also of customers that the configuration file declares.
    pub grants: Vec<GrantRecord>,
}

/// How far this process's own changes have come, which it reads as well as the others'.
#[derive(Debug, Default)]
pub struct Own {
    /// Some are committed, or may be, of which memory is not told yet.
    is_telling: AtomicBool,
    /// The number of the last one that memory was told of.
    told: AtomicU64,
}

/// What memory knows of a change of its own process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Knowledge {
    /// It is told at this moment.
    Coming,
    /// All of it.
    Complete,
    /// Nothing: it was not known that the change was committed.
    Missing,
}

impl Own {
    pub(super) fn begin(&self) {
        self.is_telling.store(true, Ordering::Release);
    }

    pub(super) fn end(&self, number: Option<u64>) {
        if let Some(number) = number {
            self.told.fetch_max(number, Ordering::Release);
        }
        self.is_telling.store(false, Ordering::Release);
    }

    /// Tells what memory knows of a change that was read.
    pub fn knows(&self, number: u64) -> Knowledge {
        // In this order: it is told between the two, or not at all.
        let is_telling = self.is_telling.load(Ordering::Acquire);
        match (number <= self.told.load(Ordering::Acquire), is_telling) {
            (true, _) => Knowledge::Complete,
            (false, true) => Knowledge::Coming,
            (false, false) => Knowledge::Missing,
        }
    }
}

/// Tells changes, as the last of what a transaction does: who tells any waits for who has told some. Gives the
/// number of the last one, if there is one.
pub(super) fn tell(
    connection: &Connection,
    run: u64,
    changes: &[Announcement],
) -> Result<Option<u64>, StoreError> {
    if changes.is_empty() {
        return Ok(None);
    }
    let what: Result<Vec<_>, _> = changes.iter().map(query::json).collect();
    let what = what?;
    let what: Vec<_> = what.iter().map(|what| text::encode(what)).collect();
    let sql = "WITH head AS (UPDATE change_head SET number = number + cardinality($2::text[]) RETURNING number),
        made AS (INSERT INTO changes (number, at, run, what)
            SELECT head.number - cardinality($2) + w.place, now_ms(), $1, w.what
            FROM head, unnest($2) WITH ORDINALITY AS w (what, place))
        SELECT number, pg_notify('faregate_' || md5(current_schema()), '') FROM head";
    let run = i64::try_from(run).unwrap_or(i64::MAX);
    let rows = connection.rows("write to", sql, &[&run, &what])?;
    let row = rows.first().ok_or_else(|| StoreError::new("write to", "changes have no number"))?;
    value::integer(row, 0).map(unsigned).map(Some)
}

/// Gives up to where there are changes.
pub(super) fn head(connection: &Connection) -> Result<Head, StoreError> {
    let rows = connection.rows("read", "SELECT number, dropped FROM change_head", &[])?;
    let row = rows.first().ok_or_else(|| StoreError::new("read", "changes have no head"))?;
    let number = |at| value::integer(row, at).map(unsigned);
    Ok(Head { number: number(0)?, dropped: number(1)? })
}

/// Gives the changes behind a number, some at a time.
pub(super) fn after(connection: &Connection, number: u64) -> Result<Vec<Told>, StoreError> {
    let sql = "SELECT number, run, what FROM changes WHERE number > $1 ORDER BY number LIMIT $2";
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    let rows = connection.rows("read", sql, &[&number, &TOGETHER])?;
    let read = |row| -> Result<Told, StoreError> {
        let what = value::text(row, 2)?;
        Ok(Told {
            number: unsigned(value::integer(row, 0)?),
            run: unsigned(value::integer(row, 1)?),
            what: serde_json::from_str(&what).ok(),
        })
    };
    rows.iter().map(read).collect()
}

/// Drops changes that are old.
pub(super) fn drop_old(connection: &Connection) -> Result<(), StoreError> {
    let sql = "WITH old AS (DELETE FROM changes WHERE at < now_ms() - $1::bigint RETURNING number)
        UPDATE change_head SET dropped = greatest(dropped, (SELECT max(number) FROM old))
        WHERE EXISTS (SELECT FROM old)";
    connection.write(sql, &[&KEPT_MS]).map(drop)
}

/// Reads customers as one state of the store has them; those that are not there are left out.
pub(super) fn customers(connection: &Connection, ids: &[String]) -> Result<Found, StoreError> {
    let ids: Vec<_> = ids.iter().map(|id| text::encode(id)).collect();
    connection.reading(|| {
        let sql = format!("{} WHERE c.id = ANY($1)", customers::SELECT_BOTH);
        let mut found = HashMap::new();
        for row in &connection.rows("read", &sql, &[&ids])? {
            let cells = &mut query::Cells::new(row, customers::TABLE);
            let (customer, subscription) = customers::read_both(cells)?;
            let (applications, keys) = (Vec::new(), Vec::new());
            let id = customer.id.clone();
            found.insert(id, Whole { customer, subscription, applications, keys });
        }
        let sql = format!(
            "{} WHERE customer = ANY($1) ORDER BY customer, name",
            customers::SELECT_APPLICATIONS
        );
        for row in &connection.rows("read", &sql, &[&ids])? {
            let cells = &mut query::Cells::new(row, customers::APPLICATIONS);
            let application = customers::read_application(cells)?;
            if let Some(whole) = found.get_mut(&application.customer) {
                whole.applications.push(application);
            }
        }
        let sql = keys::select_without_use("WHERE customer = ANY($1) ORDER BY id");
        for row in &connection.rows("read", &sql, &[&ids])? {
            let key = keys::read(&mut query::Cells::new(row, keys::TABLE))?;
            if let Some(whole) = found.get_mut(&key.customer) {
                whole.keys.push(key);
            }
        }
        let sql = format!(
            r#"SELECT {} WHERE p.customer = ANY($1) AND g."left" <> 0 ORDER BY g.number"#,
            credits::COLUMNS
        );
        let grants = connection.rows("read", &sql, &[&ids])?;
        let grants =
            grants.iter().map(|row| credits::read(&mut query::Cells::new(row, credits::GRANTS)));
        let grants = grants.collect::<Result<_, _>>()?;
        Ok(Found { customers: found.into_values().collect(), grants })
    })
}
