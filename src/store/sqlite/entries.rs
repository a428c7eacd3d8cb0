//! The ledger: what moves an account is entered, and nothing that was entered is changed.
//!
//! What requests consume is entered when its minute is over, and gathered until then: an entry for each
//! fold would be many for a customer who calls all the time. Both in the fold's transaction; only what was
//! gathered is entered in one of its own.
//!
//! Invariant: what an account has is the sum of its entries, of those that were carried, and of what is
//! gathered.

use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension};

use crate::store::{
    StoreError,
    records::EntryKind,
    sql::{
        movement::{Account, Consumption, Entry, HOUR_MS, MINUTE_MS, PAYMENT, PURSE, USAGE, told},
        params,
        query::{self, limit, ms},
    },
    sqlite::{
        database::{read_failed, write_failed},
        ids::Noted,
        many::Insertion,
    },
};

/// Makes entries of one account, behind the change that they tell.
pub(super) fn append(
    connection: &Connection,
    now: Timestamp,
    entries: &[Entry<'_>],
) -> Result<(), StoreError> {
    let Some(Entry { account, .. }) = entries.first() else { return Ok(()) };
    let after = entered_balance(connection, *account)?;
    let mut pen = Pen::new(connection, now)?;
    told(entries, after).for_each(|(entry, balance)| pen.put(*entry, balance));
    pen.finish(None)
}

/// Enters what was consumed and is not gathered, behind the change of the accounts.
pub(super) fn enter(
    connection: &Connection,
    now: Timestamp,
    mut rows: Vec<Consumption>,
    noted: &mut Noted,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_unstable();
    let mut pen = Pen::new(connection, now)?;
    pen.waiting.reserve(rows.len());
    let mut scale = Scale::new(connection)?;
    scale.look_ahead(&rows)?;
    for rows in rows.chunk_by(|one, other| one.account == other.account) {
        let Some(Consumption { account, .. }) = rows.first() else { continue };
        let after = scale.entered(*account)?;
        let before = rows.iter().fold(after, |has, row| has.saturating_sub(row.movement()));
        pen.put_consumed(rows, before);
    }
    pen.finish(Some(noted))
}

/// Enters what was gathered in minutes before this one, up to `max` rows of it; tells whether that was
/// all.
pub(super) fn enter_gathered(
    connection: &Connection,
    now: Timestamp,
    before: Timestamp,
    max: usize,
) -> Result<bool, StoreError> {
    let sql = r#"SELECT minute, "of", account, "grant", route, requests, amount FROM consumption
        WHERE minute < ?1 ORDER BY minute, "of", account, "grant", route LIMIT ?2"#;
    let params = params![ms(before), limit(max)];
    let mut rows = query::all(connection, "consumption", sql, params, |c| {
        let (minute, account) = (c.get()?, Account { of: c.get()?, id: c.get()? });
        let (grant, route, requests, amount) = (c.get()?, c.get()?, c.get()?, c.get()?);
        Ok(Consumption { account, minute, grant, route, requests, amount })
    })?;
    let Some(Consumption { account, minute, grant, route, .. }) = rows.last().copied() else {
        return Ok(true);
    };
    rows.sort_unstable();
    let mut pen = Pen::new(connection, now)?;
    pen.waiting.reserve(rows.len());
    let mut scale = Scale::new(connection)?;
    for rows in rows.chunk_by(|one, other| one.account == other.account) {
        let Some(Consumption { account, .. }) = rows.first() else { continue };
        pen.put_consumed(rows, scale.entered(*account)?);
    }
    pen.finish(None)?;
    let sql = r#"DELETE FROM consumption WHERE minute <= ?1
        AND (minute, "of", account, "grant", route) <= (?1, ?2, ?3, ?4, ?5)"#;
    query::write(connection, sql, params![minute, account.of, account.id, grant, route])?;
    Ok(rows.len() < max)
}

/// Drops entries that were made before a minute and carries what they add up to, up to `max` of them;
/// tells whether that was all.
pub(super) fn carry(
    connection: &Connection,
    before: Timestamp,
    max: usize,
) -> Result<bool, StoreError> {
    let before = ms(before).div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS);
    let sql = r#"SELECT entered, "of", account, number, "grant", amount FROM entries
        WHERE entered < ?1 ORDER BY entered, "of", account, number LIMIT ?2"#;
    let rows = query::all(connection, "entries", sql, params![before, limit(max)], |c| {
        Ok([c.get::<i64>()?, c.get()?, c.get()?, c.get()?, c.get()?, c.get()?])
    })?;
    let Some(last) = rows.last() else { return Ok(true) };
    let sql = r#"INSERT INTO carried VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT ("of", account, "grant") DO UPDATE SET amount = amount + excluded.amount"#;
    for [_, of, account, _, grant, amount] in &rows {
        query::write(connection, sql, params![of, account, grant, amount])?;
    }
    // What refuses to remove an entry goes by this.
    query::write(connection, "UPDATE ledger SET carried = max(carried, ?1)", params![before])?;
    let [entered, of, account, number, ..] = *last;
    let sql = r#"DELETE FROM entries WHERE entered <= ?1
        AND (entered, "of", account, number) <= (?1, ?2, ?3, ?4)"#;
    query::write(connection, sql, params![entered, of, account, number])?;
    let is_over = rows.len() < max;
    if is_over {
        let hour = before.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
        query::write(connection, "DELETE FROM entry_hours WHERE hour < ?1", params![hour])?;
    }
    Ok(is_over)
}

/// Gives what an account has, without what is gathered and not entered.
pub(super) fn entered_balance(
    connection: &Connection,
    account: Account,
) -> Result<i64, StoreError> {
    Scale::new(connection)?.entered(account)
}

/// Gives the minutes in which something is gathered. They are few.
pub(super) fn gathered_minutes(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE minutes(minute) AS (
             SELECT min(minute) FROM consumption
             UNION ALL
             SELECT (SELECT min(minute) FROM consumption WHERE minute > minutes.minute)
                 FROM minutes WHERE minutes.minute IS NOT NULL
         )
         SELECT minute FROM minutes WHERE minute IS NOT NULL",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Tells what accounts have. Its statements are looked for once: there may be many accounts.
struct Scale<'c> {
    connection: &'c Connection,
    used: CachedStatement<'c>,
    range: CachedStatement<'c>,
    /// What rows of `usage` have, read ahead and in their order, the next one last.
    ahead: Vec<(i64, i64)>,
    has: CachedStatement<'c>,
    held: CachedStatement<'c>,
    gathered: CachedStatement<'c>,
    /// In which something is gathered, once that is asked for.
    minutes: Option<Vec<i64>>,
}

impl<'c> Scale<'c> {
    fn new(connection: &'c Connection) -> Result<Self, StoreError> {
        let prepare = |sql| connection.prepare_cached(sql).map_err(read_failed);
        Ok(Self {
            connection,
            used: prepare("SELECT used FROM usage WHERE id = ?1")?,
            range: prepare(
                "SELECT id, used FROM usage WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC",
            )?,
            ahead: Vec::new(),
            has: prepare(
                r#"SELECT coalesce((SELECT sum("left") FROM grants WHERE purse = ?1), 0) - owed
                    FROM purses WHERE id = ?1"#,
            )?,
            held: prepare("SELECT held FROM payments WHERE number = ?1")?,
            gathered: prepare(
                r#"SELECT coalesce(sum(amount), 0) FROM consumption
                    WHERE minute = ?1 AND "of" = ?2 AND account = ?3"#,
            )?,
            minutes: None,
        })
    }

    /// Reads ahead what accounts have that will be asked for in this order. Where most of the rows between the
    /// first and the last are among them, all are read in one go: each on its own costs several times as much.
    fn look_ahead(&mut self, rows: &[Consumption]) -> Result<(), StoreError> {
        let ids = || rows.iter().map(|row| row.account).filter(|account| account.of == USAGE);
        let (Some(first), Some(last)) = (ids().next(), ids().next_back()) else { return Ok(()) };
        let span = usize::try_from(last.id.abs_diff(first.id)).unwrap_or(usize::MAX);
        if span / SPARSE_MAX >= rows.len() {
            return Ok(());
        }
        let mut read = || -> rusqlite::Result<_> {
            let range = self.range.query_map([first.id, last.id], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })?;
            range.collect()
        };
        self.ahead = read().map_err(read_failed)?;
        Ok(())
    }

    /// Gives what an account has, without what is gathered and not entered.
    fn entered(&mut self, Account { of, id }: Account) -> Result<i64, StoreError> {
        self.read((of, id)).map_err(read_failed)
    }

    fn read(&mut self, (of, id): (i64, i64)) -> rusqlite::Result<i64> {
        let has = match self.read_ahead((of, id)) {
            Some(used) => Some(used),
            None => {
                let statement = match of {
                    USAGE => &mut self.used,
                    PAYMENT => &mut self.held,
                    _ => &mut self.has,
                };
                statement.query_row([id], |row| row.get(0)).optional()?
            }
        };
        let has = has.unwrap_or(0);
        Ok(match of {
            PURSE => has.saturating_add(self.sum_gathered((of, id))?),
            USAGE => has.saturating_sub(self.sum_gathered((of, id))?),
            // What is paid is entered at once.
            _ => has,
        })
    }

    fn sum_gathered(&mut self, (of, id): (i64, i64)) -> rusqlite::Result<i64> {
        let minutes = match self.minutes.take() {
            Some(minutes) => minutes,
            None => gathered_minutes(self.connection)?,
        };
        let mut gathered = 0_i64;
        for minute in &minutes {
            let some: i64 = self.gathered.query_row([*minute, of, id], |row| row.get(0))?;
            gathered = gathered.saturating_add(some);
        }
        self.minutes = Some(minutes);
        Ok(gathered)
    }

    /// Gives what was read ahead of a row, and forgets those before it.
    fn read_ahead(&mut self, (of, id): (i64, i64)) -> Option<i64> {
        if of != USAGE {
            return None;
        }
        while self.ahead.pop_if(|(row, _)| *row < id).is_some() {}
        self.ahead.pop_if(|(row, _)| *row == id).map(|(_, used)| used)
    }
}

/// Rows are read in one go where at least one in so many is asked for.
const SPARSE_MAX: usize = 4;

const ENTER: Insertion = Insertion { into: "INSERT INTO entries", columns: 12, then: "" };

const NOTE_HOURS: Insertion =
    Insertion { into: "INSERT OR IGNORE INTO entry_hours", columns: 3, then: "" };

/// An entry that is not written yet.
struct Line<'a> {
    number: i64,
    entry: Entry<'a>,
    balance: i64,
}

/// Writes entries one behind the other.
struct Pen<'c, 'a> {
    connection: &'c Connection,
    entered: i64,
    /// Of the last entry.
    number: i64,
    waiting: Vec<Line<'a>>,
}

impl<'c, 'a> Pen<'c, 'a> {
    fn new(connection: &'c Connection, now: Timestamp) -> Result<Self, StoreError> {
        let sql = "SELECT number, (SELECT max(entered) FROM entries) FROM ledger";
        let found = query::one(connection, "ledger", sql, params![], |cells| {
            Ok((cells.get::<i64>()?, cells.get::<Option<i64>>()?))
        })?;
        let (number, latest) = found.unwrap_or_default();
        // A clock that is set back enters where it was.
        let now = ms(now).div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS);
        let entered = latest.map_or(now, |latest| latest.max(now));
        Ok(Self { connection, entered, number, waiting: Vec::new() })
    }

    fn put(&mut self, entry: Entry<'a>, balance: i64) {
        self.number = self.number.saturating_add(1);
        self.waiting.push(Line { number: self.number, entry, balance });
    }

    /// Puts what was consumed of one account, which has so much before that.
    fn put_consumed(&mut self, rows: &[Consumption], before: i64) {
        let mut balance = before;
        for row in rows {
            let Consumption { account, minute, grant, route, requests, amount: _ } = *row;
            let (kind, consumed) = (EntryKind::Consumed, Some((minute, route, requests)));
            let amount = row.movement();
            balance = balance.saturating_add(amount);
            self.put(Entry { account, kind, grant, consumed, amount, reference: None }, balance);
        }
    }

    /// Writes what was put.
    fn finish(self, mut noted: Option<&mut Noted>) -> Result<(), StoreError> {
        let Self { connection, entered, number, waiting } = self;
        let hour = entered.div_euclid(HOUR_MS).saturating_mul(HOUR_MS);
        let mut accounts: Vec<_> = waiting.iter().map(|line| line.entry.account).collect();
        accounts.dedup();
        if let Some(noted) = &mut noted {
            accounts.retain(|account| account.of != USAGE || noted.is_new(hour, account.id));
        }
        let noted = NOTE_HOURS.run(connection, &accounts, |Account { of, id }, values| {
            [*of, *id, hour].into_iter().try_for_each(|value| values.put(value))
        });
        let written = ENTER.run(connection, &waiting, |line, values| {
            let Line { number, entry, balance } = line;
            let Entry { account: Account { of, id }, kind, grant, consumed, amount, reference } =
                entry;
            [entered, *of, *id, *number].into_iter().try_for_each(|value| values.put(value))?;
            values.put(kind.name())?;
            values.put(grant)?;
            let (minute, route, requests) =
                consumed.map_or((None, None, None), |(m, r, n)| (Some(m), Some(r), Some(n)));
            values.put(minute)?;
            values.put(route)?;
            values.put(requests)?;
            values.put(amount)?;
            values.put(balance)?;
            values.put(reference)
        });
        noted.and(written).map_err(write_failed)?;
        query::write(connection, "UPDATE ledger SET number = ?1", params![number])?;
        Ok(())
    }
}
