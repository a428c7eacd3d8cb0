//! Adds up the whole ledger and compares it with what stands in the accounts.
//!
//! It reads one state of the store, however much is written meanwhile.

use std::{collections::HashMap, fmt::Display};

use crate::store::{
    StoreError,
    records::{Difference, Verified},
    sql::{
        Database,
        movement::{Account, NO_GRANT, PAYMENT, PURSE, USAGE},
        params,
        query::{self, Cells},
    },
};

/// Calls `each` for every difference.
pub(super) fn verify(
    database: &dyn Database,
    each: &mut dyn FnMut(Difference),
) -> Result<Verified, StoreError> {
    let mut sums = Sums::default();
    let mut found = Verified::default();
    let mut tell = |difference: Difference, found: &mut Verified| {
        found.differences = found.differences.saturating_add(1);
        each(difference);
    };
    database.still(&mut |state| {
        sums.carry(state)?;
        found.entries = sums.add_entries(state, &mut |difference| tell(difference, &mut found))?;
        sums.add_gathered(state)?;
        sums.compare_usage(state, &mut found, &mut tell)?;
        sums.compare_purses(state, &mut found, &mut tell)?;
        sums.compare_payments(state, &mut found, &mut tell)?;
        sums.compare_grants(state, &mut found, &mut tell)?;
        state.verify_shared(&mut |difference| tell(difference, &mut found))
    })?;
    for (Account { of, id }, sum) in sums.accounts.into_iter().filter(|(_, sum)| *sum != 0) {
        let table = match of {
            USAGE => "usage",
            PAYMENT => "payments",
            _ => "purses",
        };
        tell(difference("", format!("{table} {id}, which is not there"), sum, 0), &mut found);
    }
    Ok(found)
}

/// What the entries come to. What was compared is taken out.
#[derive(Default)]
struct Sums {
    accounts: HashMap<Account, i128>,
    grants: HashMap<i64, i128>,
}

type Tell<'t> = &'t mut dyn FnMut(Difference, &mut Verified);

impl Sums {
    fn carry(&mut self, database: &dyn Database) -> Result<(), StoreError> {
        let sql = r#"SELECT account, "of", "grant", amount FROM carried"#;
        query::each(database, "carried", sql, params![], |mut cells| {
            let (id, of, grant, amount) = (cells.get()?, cells.get()?, cells.get()?, cells.get()?);
            self.add(Account { of, id }, grant, amount);
            Ok(true)
        })
    }

    /// Adds the entries in their order, and sees to it that each has the balance that it should.
    fn add_entries(
        &mut self,
        database: &dyn Database,
        each: &mut dyn FnMut(Difference),
    ) -> Result<u64, StoreError> {
        // Of one minute the accounts stand in the order of their numbers, and each account's entries
        // in theirs.
        let sql = r#"SELECT number, "of", account, "grant", amount, balance FROM entries
            ORDER BY entered, "of", account, number"#;
        let mut count = 0_u64;
        query::each(database, "entries", sql, params![], |mut cells| {
            let number: i64 = cells.get()?;
            let (of, id, grant) = (cells.get()?, cells.get()?, cells.get()?);
            let (amount, balance) = (cells.get::<i64>()?, cells.get::<i64>()?);
            let sum = self.add(Account { of, id }, grant, amount);
            if sum != i128::from(balance) {
                let subject = format!("entry {number}, its balance");
                each(difference("", subject, sum, balance.into()));
                // Told once, not at every entry behind it.
                self.accounts.insert(Account { of, id }, balance.into());
            }
            count = count.saturating_add(1);
            Ok(true)
        })?;
        Ok(count)
    }

    fn add_gathered(&mut self, database: &dyn Database) -> Result<(), StoreError> {
        let sql = r#"SELECT account, "of", "grant", amount FROM consumption"#;
        query::each(database, "consumption", sql, params![], |mut cells| {
            let (id, of, grant, amount) = (cells.get()?, cells.get()?, cells.get()?, cells.get()?);
            let amount: i64 = amount;
            let amount = if of == PURSE { amount.saturating_neg() } else { amount };
            self.add(Account { of, id }, grant, amount);
            Ok(true)
        })
    }

    fn compare_usage(
        &mut self,
        database: &dyn Database,
        found: &mut Verified,
        tell: Tell<'_>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT id, customer, scope, quota, window_start, used FROM usage";
        query::each(database, "usage", sql, params![], |mut cells| {
            let account = Account { of: USAGE, id: cells.get()? };
            let expected = self.accounts.remove(&account).unwrap_or(0);
            found.accounts = found.accounts.saturating_add(1);
            compare(found, tell, cells, expected, |cells, used| {
                let (customer, scope): (String, String) = (cells.get()?, cells.get()?);
                let (quota, start): (String, _) = (cells.get()?, cells.instant()?);
                *used = cells.get::<i64>()?.into();
                let whose = if scope.is_empty() { scope } else { format!(" of {scope}") };
                Ok((customer, format!("units used of {quota}{whose} from {start}")))
            })
        })
    }

    fn compare_purses(
        &mut self,
        database: &dyn Database,
        found: &mut Verified,
        tell: Tell<'_>,
    ) -> Result<(), StoreError> {
        let sql = r#"SELECT p.id, p.customer, p.currency, p.owed,
            CAST(coalesce((SELECT sum("left") FROM grants WHERE purse = p.id), 0) AS BIGINT) FROM purses AS p"#;
        query::each(database, "purses", sql, params![], |mut cells| {
            let account = Account { of: PURSE, id: cells.get()? };
            let expected = self.accounts.remove(&account).unwrap_or(0);
            found.accounts = found.accounts.saturating_add(1);
            compare(found, tell, cells, expected, |cells, balance| {
                let (customer, currency): (String, String) = (cells.get()?, cells.get()?);
                let (owed, left): (i64, i64) = (cells.get()?, cells.get()?);
                *balance = i128::from(left) - i128::from(owed);
                Ok((customer, format!("nano-units of {currency} in all")))
            })
        })
    }

    fn compare_payments(
        &mut self,
        database: &dyn Database,
        found: &mut Verified,
        tell: Tell<'_>,
    ) -> Result<(), StoreError> {
        let sql = "SELECT number, customer, currency, proof, held FROM payments";
        query::each(database, "payments", sql, params![], |mut cells| {
            let account = Account { of: PAYMENT, id: cells.get()? };
            let expected = self.accounts.remove(&account).unwrap_or(0);
            found.accounts = found.accounts.saturating_add(1);
            compare(found, tell, cells, expected, |cells, held| {
                let (customer, currency): (String, String) = (cells.get()?, cells.get()?);
                let proof: String = cells.get()?;
                *held = cells.get::<i64>()?.into();
                Ok((customer, format!("nano-units of {currency} paid and not served of {proof}")))
            })
        })
    }

    fn compare_grants(
        &mut self,
        database: &dyn Database,
        found: &mut Verified,
        tell: Tell<'_>,
    ) -> Result<(), StoreError> {
        let sql = r#"SELECT g.number, p.customer, p.currency, g.id, g."left"
            FROM grants AS g JOIN purses AS p ON p.id = g.purse"#;
        query::each(database, "grants", sql, params![], |mut cells| {
            let expected = self.grants.remove(&cells.get::<i64>()?).unwrap_or(0);
            found.grants = found.grants.saturating_add(1);
            compare(found, tell, cells, expected, |cells, left| {
                let (customer, currency): (String, String) = (cells.get()?, cells.get()?);
                let id: String = cells.get()?;
                *left = cells.get::<i64>()?.into();
                Ok((customer, format!("nano-units of {currency} left of {id}")))
            })
        })
    }

    /// Gives the account's sum.
    fn add(&mut self, account: Account, grant: i64, amount: i64) -> i128 {
        if grant != NO_GRANT {
            *self.grants.entry(grant).or_insert(0) += i128::from(amount);
        }
        let sum = self.accounts.entry(account).or_insert(0);
        *sum += i128::from(amount);
        *sum
    }
}

/// Reads what a row is called and what it has, and compares that.
fn compare(
    found: &mut Verified,
    tell: Tell<'_>,
    mut cells: Cells<'_>,
    expected: i128,
    read: impl Fn(&mut Cells<'_>, &mut i128) -> Result<(String, String), StoreError>,
) -> Result<bool, StoreError> {
    let mut has = 0;
    let (customer, subject) = read(&mut cells, &mut has)?;
    if has != expected {
        tell(difference(&customer, subject, expected, has), found);
    }
    Ok(true)
}

fn difference(customer: &str, subject: impl Display, expected: i128, found: i128) -> Difference {
    Difference { customer: customer.to_owned(), subject: subject.to_string(), expected, found }
}
