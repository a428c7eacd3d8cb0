//! What the records need of a connection to PostgreSQL.

use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::{connection::Connection, entries, ledger, money, nodes, pools, value::Sent};
use crate::{
    model::{Currency, Nanos},
    store::{
        StoreError,
        records::{
            AccountKey, Difference, EntryRecord, GrantRecord, LedgerPlace, NodeRecord, SharedLeft,
        },
        sql::{
            Amount, Database, Params, Row, Source,
            movement::{Account, Entry},
        },
    },
};

impl Source for Connection {
    fn database(&self) -> &dyn Database {
        self
    }
}

impl Database for Connection {
    fn each(
        &self,
        sql: &str,
        params: Params<'_>,
        amount: Amount,
        each: &mut dyn FnMut(&dyn Row) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        with_arguments(params, |arguments| match amount {
            Amount::Few => {
                let rows = self.rows("read", sql, arguments)?;
                for row in &rows {
                    if !each(row)? {
                        break;
                    }
                }
                Ok(())
            }
            Amount::Many => self.reading(|| Self::each(self, sql, arguments, &mut |row| each(row))),
        })
    }

    fn write(&self, sql: &str, params: Params<'_>) -> Result<usize, StoreError> {
        let written = with_arguments(params, |arguments| Self::write(self, sql, arguments))?;
        Ok(usize::try_from(written).unwrap_or(usize::MAX))
    }

    fn still(
        &self,
        read: &mut dyn FnMut(&dyn Database) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.reading(|| read(self))
    }

    fn enter(&self, now: Timestamp, entries: &[Entry<'_>]) -> Result<(), StoreError> {
        entries::append(self, now, entries)
    }

    fn enter_gathered(
        &self,
        now: Timestamp,
        before: Timestamp,
        max: usize,
    ) -> Result<bool, StoreError> {
        entries::enter_gathered(self, now, before, max)
    }

    fn carry(&self, before: Timestamp, max: usize) -> Result<bool, StoreError> {
        entries::carry(self, before, max)
    }

    /// They are found by their series, which has another name already.
    fn rename_minutes(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn correct_shared(&self, account: &AccountKey<'_>, units: i64) -> Result<(), StoreError> {
        pools::correct(self, account, units)
    }

    fn forget_shared(&self, customer: &str) -> Result<(), StoreError> {
        pools::forget(self, customer)
    }

    fn forget_shared_windows(&self, before: Timestamp, max: usize) -> Result<bool, StoreError> {
        pools::forget_windows(self, before, max)
    }

    fn shared_left(&self, grant: &GrantRecord) -> Result<Option<SharedLeft>, StoreError> {
        money::left(self, grant).map(Some)
    }

    fn owed_shared(&self, customer: &str, currency: Currency) -> Result<Option<Nanos>, StoreError> {
        money::owed(self, customer, currency).map(Some)
    }

    fn verify_shared(&self, each: &mut dyn FnMut(Difference)) -> Result<(), StoreError> {
        pools::verify(self, each)
    }

    fn entries(
        &self,
        customer: &str,
        after: Option<LedgerPlace>,
        max: usize,
    ) -> Result<(Vec<EntryRecord>, bool), StoreError> {
        ledger::page(self, customer, after, max)
    }

    fn entered_balance(&self, account: Account) -> Result<i64, StoreError> {
        let balances = entries::balances(self, &[account])?;
        Ok(balances.get(&account).copied().unwrap_or(0))
    }

    fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        nodes::list(self)
    }

    fn forget_node(&self, id: &str) -> Result<Option<NodeRecord>, StoreError> {
        nodes::forget(self, id)
    }

    fn has_others(&self) -> bool {
        true
    }

    /// In which order tables are gone through is the server's to say.
    fn join(&self) -> &'static str {
        "JOIN"
    }
}

fn with_arguments<T>(
    params: Params<'_>,
    work: impl FnOnce(&[&(dyn ToSql + Sync)]) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let sent: Vec<_> = params.iter().map(|parameter| Sent(parameter.value())).collect();
    let arguments: Vec<_> = sent.iter().map(|sent| sent as &(dyn ToSql + Sync)).collect();
    work(&arguments)
}
