//! Customers and their applications.

use std::vec;

use crate::{
    model::SubscriptionTerms,
    store::{
        StoreError,
        records::{ApplicationRecord, CustomerRecord, WebhookRecord},
        sql::{
            Database, params,
            query::{self, Cells, limit, ms},
            subscriptions,
        },
    },
};

pub(in crate::store) const TABLE: &str = "customers";
pub(in crate::store) const APPLICATIONS: &str = "applications";

const SELECT: &str = "SELECT id, name, metadata, suspended, limits, webhook_url, webhook_secret,
    webhook_disabled, created_at, updated_at, spend_cap FROM customers";

pub(in crate::store) const SELECT_APPLICATIONS: &str =
    "SELECT name, customer, limits, created_at FROM applications";

/// With the subscription's columns behind the customer's; its owner is NULL where there is none.
pub(in crate::store) const SELECT_BOTH: &str = r#"SELECT c.id, c.name, metadata, suspended, limits, webhook_url,
    webhook_secret, webhook_disabled, created_at, updated_at, spend_cap, s.customer, "plan", status, anchor,
    starts, trial_end, past_due_since, cancel_at, period_start, period_end, pause_collection, grace,
    changed, restarted, next FROM customers AS c LEFT JOIN subscriptions AS s ON s.customer = c.id"#;

pub(super) fn find(
    database: &dyn Database,
    id: &str,
) -> Result<Option<CustomerRecord>, StoreError> {
    query::one(database, TABLE, &format!("{SELECT} WHERE id = ?1"), params![id], read)
}

pub(super) fn page(
    database: &dyn Database,
    after: Option<&str>,
    max: usize,
) -> Result<Vec<(CustomerRecord, Option<SubscriptionTerms>)>, StoreError> {
    let sql =
        format!("{SELECT_BOTH} WHERE id >= ?1 AND id IS DISTINCT FROM ?2 ORDER BY id LIMIT ?3");
    let params = params![after.unwrap_or(""), after, limit(max)];
    query::all(database, TABLE, &sql, params, read_both)
}

pub(super) fn applications(
    database: &dyn Database,
    customer: &str,
) -> Result<Vec<ApplicationRecord>, StoreError> {
    let sql = format!("{SELECT_APPLICATIONS} WHERE customer = ?1 ORDER BY name");
    query::all(database, APPLICATIONS, &sql, params![customer], read_application)
}

/// How many applications are read at once.
const TOGETHER: i64 = 1000;

/// Goes through both tables side by side. Both have the same order, of the ids' bytes.
pub(super) fn load(
    database: &dyn Database,
    each: &mut dyn FnMut(CustomerRecord, Option<SubscriptionTerms>, Vec<ApplicationRecord>),
) -> Result<(), StoreError> {
    let mut applications = Applications::default();
    let mut application = applications.next(database)?;
    query::each(database, TABLE, &format!("{SELECT_BOTH} ORDER BY id"), params![], |mut cells| {
        let (customer, terms) = read_both(&mut cells)?;
        let mut own = Vec::new();
        while let Some(found) = application.take_if(|found| found.customer <= customer.id) {
            // An application of a customer that is not here is passed by.
            if found.customer == customer.id {
                own.push(found);
            }
            application = applications.next(database)?;
        }
        each(customer, terms, own);
        Ok(true)
    })
}

/// All applications in the order of their owners, some at a time: not every connection can read two tables at
/// once.
#[derive(Default)]
struct Applications {
    waiting: vec::IntoIter<ApplicationRecord>,
    /// The last one that was read.
    last: Option<(String, String)>,
}

impl Applications {
    fn next(&mut self, database: &dyn Database) -> Result<Option<ApplicationRecord>, StoreError> {
        if self.waiting.as_slice().is_empty() {
            let (condition, last) = match &self.last {
                Some((customer, name)) => ("WHERE (customer, name) > (?1, ?2)", (customer, name)),
                None => ("WHERE ?1 = ?2", (&String::new(), &String::new())),
            };
            let sql = format!("{SELECT_APPLICATIONS} {condition} ORDER BY customer, name LIMIT ?3");
            let params = params![last.0, last.1, TOGETHER];
            let found = query::all(database, APPLICATIONS, &sql, params, read_application)?;
            self.last = found.last().map(|last| (last.customer.clone(), last.name.clone()));
            self.waiting = found.into_iter();
        }
        Ok(self.waiting.next())
    }
}

pub(super) fn put(database: &dyn Database, customer: &CustomerRecord) -> Result<(), StoreError> {
    let CustomerRecord {
        id,
        name,
        metadata,
        suspended,
        limits,
        spend_cap,
        webhook,
        created_at,
        updated_at,
    } = customer;
    let (url, secret, disabled) = match webhook {
        Some(WebhookRecord { url, secret, disabled }) => {
            (Some(url), Some(secret), disabled.as_ref())
        }
        None => (None, None, None),
    };
    let metadata = query::json_unless(metadata.is_empty(), metadata)?;
    let limits = query::json_unless(limits.is_empty(), limits)?;
    let (created_at, updated_at) = (ms(*created_at), ms(*updated_at));
    let spend_cap = spend_cap.map(|cap| cap.to_string());
    let sql = "INSERT INTO customers
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, metadata = excluded.metadata,
            suspended = excluded.suspended, limits = excluded.limits,
            webhook_url = excluded.webhook_url, webhook_secret = excluded.webhook_secret,
            webhook_disabled = excluded.webhook_disabled, created_at = excluded.created_at,
            updated_at = excluded.updated_at, spend_cap = excluded.spend_cap";
    let params = params![
        id, name, metadata, suspended, limits, url, secret, disabled, created_at, updated_at,
        spend_cap
    ];
    query::write(database, sql, params)?;
    Ok(())
}

pub(super) fn put_application(
    database: &dyn Database,
    application: &ApplicationRecord,
) -> Result<(), StoreError> {
    let ApplicationRecord { customer, name, limits, created_at } = application;
    let limits = query::json_unless(limits.is_empty(), limits)?;
    let sql = "INSERT INTO applications VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (customer, name) DO UPDATE SET limits = excluded.limits,
            created_at = excluded.created_at";
    query::write(database, sql, params![customer, name, limits, ms(*created_at)])?;
    Ok(())
}

pub(super) fn delete_application(
    database: &dyn Database,
    customer: &str,
    name: &str,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM applications WHERE customer = ?1 AND name = ?2";
    query::write(database, sql, params![customer, name])?;
    Ok(())
}

fn read(cells: &mut Cells<'_>) -> Result<CustomerRecord, StoreError> {
    // In the order of the columns.
    Ok(CustomerRecord {
        id: cells.get()?,
        name: cells.get()?,
        metadata: cells.json()?.unwrap_or_default(),
        suspended: cells.get()?,
        limits: cells.json()?.unwrap_or_default(),
        webhook: read_webhook(cells)?,
        created_at: cells.time()?,
        updated_at: cells.time()?,
        spend_cap: cells.optional_name()?,
    })
}

fn read_webhook(cells: &mut Cells<'_>) -> Result<Option<WebhookRecord>, StoreError> {
    let Some(url) = cells.get()? else {
        cells.skip(2);
        return Ok(None);
    };
    Ok(Some(WebhookRecord { url, secret: cells.get()?, disabled: cells.get()? }))
}

pub(in crate::store) fn read_both(
    cells: &mut Cells<'_>,
) -> Result<(CustomerRecord, Option<SubscriptionTerms>), StoreError> {
    let customer = read(cells)?;
    let owner: Option<String> = cells.get()?;
    let terms = owner.is_some().then(|| subscriptions::read_terms(cells)).transpose()?;
    Ok((customer, terms))
}

pub(in crate::store) fn read_application(
    cells: &mut Cells<'_>,
) -> Result<ApplicationRecord, StoreError> {
    Ok(ApplicationRecord {
        name: cells.get()?,
        customer: cells.get()?,
        limits: cells.json()?.unwrap_or_default(),
        created_at: cells.time()?,
    })
}
