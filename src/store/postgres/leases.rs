//! The pools of all accounts, as nodes share them: what [`Pool`] does, for many accounts with each statement.
//!
//! Invariant: what is answered is what [`Pool`] answers. The tests hold one to the other.
//!
//! [`Pool`]: crate::ledger::lease::Pool

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{
    connection::{Connection, Role},
    link::Arguments,
    server::Server,
    text, unsigned,
    value::{self, integer},
};
use crate::{
    ledger::{
        AccountId, Window,
        lease::{Ask, LASTS, Letter, NotEnded, RECENT, Reply, Rest, SHARE},
    },
    store::{NodeId, StoreError, instant, sql::query::ms},
};

/// The channel on which nodes are told what somebody wants of them; see [`Recall`].
pub const RECALLS: &str = "faregate_recall";

/// How many leases share a transaction that others may wait for.
const TOGETHER: i64 = 1000;

/// No number of a letter is above this, so that sums stay in their range: 2^60.
const MOST: u64 = 1 << 60;

/// A connection for what nodes say of leases, of its own, since folds may take long.
#[derive(Debug)]
pub struct Leases {
    connection: Connection,
}

/// A letter, and which account it is about.
#[derive(Clone, Debug)]
pub struct Addressed {
    /// The owner's customer id.
    pub customer: Arc<str>,
    /// Which of its accounts.
    pub account: AccountId,
    /// What is said. Of an account there is one letter in a batch.
    pub letter: Letter,
}

/// An account that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The owner's customer id.
    pub customer: &'a str,
    /// Which of its accounts.
    pub account: &'a AccountId,
    /// Its limit.
    pub limit: u64,
}

/// An account of which something was booked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Booked {
    /// The owner's customer id.
    pub customer: String,
    /// Which of its accounts.
    pub account: AccountId,
    /// How much; of a grant in nano-units.
    pub units: u64,
}

/// A lease that was taken for lost.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lost {
    /// The node that is silent.
    pub node: String,
    /// What counts as used because of that.
    pub booked: Booked,
}

/// What the end of a node's earlier processes came to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// What had counted as used and was not.
    pub recovered: Vec<Booked>,
    /// What the node had said to be charged and its journal does not have: it is not charged.
    pub missing: Vec<Booked>,
}

/// Somebody waits for units of an account that others have left, or wants to know what they did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recall {
    /// Where the account is: a database may have several stores.
    pub schema: String,
    /// Who waits.
    pub node: String,
    /// The owner's customer id.
    pub customer: String,
    /// The account's scope.
    pub scope: String,
    /// The account's quota.
    pub quota: String,
    /// The start of the account's window.
    pub start: Timestamp,
    /// Nobody waits for units: what is used is to be said.
    pub is_question: bool,
}

impl Recall {
    /// Understands what is told on [`RECALLS`]; `None` for what is not ours.
    pub fn parse(payload: &str) -> Option<Self> {
        let parsed: (String, String, String, String, String, i64, bool) =
            serde_json::from_str(payload).ok()?;
        let (schema, node, customer, scope, quota, start, is_question) = parsed;
        let [customer, scope, quota] =
            [customer, scope, quota].map(|name| text::decode(&name).into_owned());
        Some(Self { schema, node, customer, scope, quota, start: instant(start), is_question })
    }
}

impl Leases {
    /// Connects with the first statement; the tables are there.
    pub fn new(server: Server) -> Result<Self, StoreError> {
        let connection = Connection::new(Arc::new(server), Role::Leases);
        Ok(Self { connection: connection.map_err(|error| StoreError::new("open", error))? })
    }

    /// Acts on letters, on all of them or on none; gives the replies in their order, none to a letter that is
    /// older than one that was heard. `None` where the process is not listened to any more: another one has taken
    /// its place, or the node was forgotten.
    ///
    /// The time is the server's own where none is given.
    pub fn exchange(
        &self,
        node: NodeId,
        run: u64,
        letters: &[Addressed],
        now: Option<Timestamp>,
    ) -> Result<Option<Vec<Option<Reply>>>, StoreError> {
        if letters.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let accounts = Accounts::new(letters.iter().map(|one| (&*one.customer, &one.account)));
        let each = |value: fn(&Letter) -> u64| -> Vec<_> {
            letters.iter().map(|one| bounded(value(&one.letter))).collect()
        };
        let asked = |value: fn(&Ask) -> u64| -> Vec<_> {
            letters.iter().map(|one| one.letter.ask.as_ref().map(value).map(bounded)).collect()
        };
        let waits: Vec<_> =
            letters.iter().map(|one| one.letter.ask.is_some_and(|ask| ask.is_waited_for)).collect();
        let questions: Vec<_> = letters.iter().map(|one| one.letter.is_question).collect();
        let sql = "SELECT * FROM exchange_leases($1, $2,
            coalesce($3, now_ms()), $4, $5, $6, $7, $8, $9, $10, $11,
            $12, $13, $14, $15, $16, $17, $18, $19, $20)";
        let rows = self.connection.rows(
            "write to",
            sql,
            &[
                &node.to_string(),
                &bounded(run),
                &now.map(ms),
                &milliseconds(LASTS),
                &bounded(SHARE),
                &accounts.customers,
                &accounts.scopes,
                &accounts.quotas,
                &accounts.starts,
                &accounts.ends,
                &each(|letter| letter.turn),
                &each(|letter| letter.limit),
                &each(|letter| letter.spent),
                // Both together are bounded too.
                &each(|letter| letter.held.min(MOST.saturating_sub(letter.spent))),
                &each(|letter| letter.ceiling),
                &asked(|ask| ask.least),
                &asked(|ask| ask.wanted),
                &waits,
                &questions,
                &milliseconds(RECENT),
            ],
        )?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut replies = vec![None; letters.len()];
        for row in &rows {
            let at = usize::try_from(integer(row, 0)?).unwrap_or(0).checked_sub(1);
            let Some((at, letter)) = at.and_then(|at| Some((at, letters.get(at)?))) else {
                continue;
            };
            if let Some(reply) = replies.get_mut(at) {
                *reply = read_reply(row, letter.letter.turn)?;
            }
        }
        Ok(Some(replies))
    }

    /// Gives what there is of accounts by all nodes together, in their order, and asks for nothing.
    pub fn peek(&self, accounts: &[Asked<'_>]) -> Result<Vec<Rest>, StoreError> {
        let names = Accounts::new(accounts.iter().map(|one| (one.customer, one.account)));
        let limits: Vec<_> = accounts.iter().map(|one| bounded(one.limit)).collect();
        // An account that no node has asked for has what the books have.
        let sql = r#"SELECT a.place,
                greatest(a."limit" - coalesce(p.used + p.held + p."left" + p.forfeited, b.used, 0), 0),
                coalesce(p."left", 0), greatest(coalesce(p.used + p.forfeited, b.used, 0), 0),
                coalesce(p.held, 0), coalesce(p.forfeited, 0)
            FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
                WITH ORDINALITY AS a(customer, scope, quota, window_start, "limit", place)
            LEFT JOIN pools AS p ON p.customer = a.customer AND p.scope = a.scope AND p.quota = a.quota
                AND p.window_start = a.window_start
            LEFT JOIN LATERAL (SELECT * FROM books AS b WHERE p.id IS NULL AND b.customer = a.customer
                AND b.scope = a.scope AND b.quota = a.quota AND b.window_start = a.window_start LIMIT 1) AS b ON true"#;
        let Accounts { customers, scopes, quotas, starts, ends: _ } = &names;
        let rows =
            self.connection.rows("read", sql, &[customers, scopes, quotas, starts, &limits])?;
        let mut found = vec![Rest::default(); accounts.len()];
        for row in &rows {
            let at = usize::try_from(integer(row, 0)?).unwrap_or(0).checked_sub(1);
            if let Some(rest) = at.and_then(|at| found.get_mut(at)) {
                *rest = read_rest(row, 1)?;
            }
        }
        Ok(found)
    }

    /// Takes leases for lost whose end has come, of so many accounts at most.
    pub fn expire(&self, most: usize, now: Option<Timestamp>) -> Result<Vec<Lost>, StoreError> {
        let sql = "SELECT customer, scope, quota, window_start, window_end, units, node FROM expire_leases(
            coalesce($1, now_ms()), $2)";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let read = |row: &Row| {
            Ok(Lost { node: value::text(row, 6)?.into_owned(), booked: read_booked(row, 5)? })
        };
        self.connection.rows("write to", sql, &[&now.map(ms), &most])?.iter().map(read).collect()
    }

    /// Ends what the node's earlier processes had, with what their journals have of it. All of these must be
    /// folded, and the node must have its new run, so that none of them is listened to. May be called again where
    /// it did not come to its end, before anything of the new process is folded.
    pub fn recover(&self, node: NodeId) -> Result<Recovery, StoreError> {
        let sql = "SELECT customer, scope, quota, window_start, window_end, recovered, missing
            FROM recover_leases($1, $2)";
        let node = node.to_string();
        let mut recovery = Recovery::default();
        self.in_parts(sql, &node, &mut |row| {
            let booked = |at| read_booked(row, at);
            for (found, at) in [(&mut recovery.recovered, 5), (&mut recovery.missing, 6)] {
                found.extend(Some(booked(at)?).filter(|booked| booked.units > 0));
            }
            Ok(())
        })?;
        self.recover_usage(&node)?;
        Ok(recovery)
    }

    /// Ends all that a node has, for good, and listens to it no more; gives what counts as used for that. May be
    /// called again where it did not come to its end.
    pub fn forget(&self, node: NodeId) -> Result<Result<Vec<Booked>, NotEnded>, StoreError> {
        let node = node.to_string();
        let rows = self.connection.rows("write to", "SELECT forget_node($1)", &[&node])?;
        let is_ended = rows.first().map(|row| row.try_get::<_, bool>(0)).transpose();
        if is_ended.map_err(super::damaged)? != Some(true) {
            return Ok(Err(NotEnded));
        }
        let sql = "SELECT customer, scope, quota, window_start, window_end, units
            FROM write_off_leases($1, $2)";
        let mut written_off = Vec::new();
        self.in_parts(sql, &node, &mut |row| {
            written_off.extend(Some(read_booked(row, 5)?).filter(|booked| booked.units > 0));
            Ok(())
        })?;
        self.recover_usage(&node)?;
        Ok(Ok(written_off))
    }

    /// Calls a function for a node until it gives nothing. Each part is a transaction, since others wait for it.
    fn in_parts(
        &self,
        sql: &str,
        node: &str,
        each: &mut dyn FnMut(&Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        loop {
            let rows = self.connection.rows("write to", sql, &[&node, &TOGETHER])?;
            if rows.is_empty() {
                return Ok(());
            }
            rows.iter().try_for_each(&mut *each)?;
        }
    }

    fn recover_usage(&self, node: &str) -> Result<(), StoreError> {
        let arguments: Arguments<'_> = &[&node, &TOGETHER];
        loop {
            let rows =
                self.connection.rows("write to", "SELECT recover_usage($1, $2)", arguments)?;
            if rows.first().map_or(Ok(0), |row| integer(row, 0))? == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
impl Leases {
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Ends all that a node has, whose row is locked, in a transaction: see [`Leases::forget`].
pub(super) fn forget(connection: &Connection, node: &str) -> Result<(), StoreError> {
    connection.rows("write to", "SELECT forget_node($1)", &[&node])?;
    for sql in [
        "SELECT 1::bigint FROM write_off_leases($1, $2)",
        "SELECT 1::bigint WHERE recover_usage($1, $2) > 0",
    ] {
        while !connection.rows("write to", sql, &[&node, &TOGETHER])?.is_empty() {}
    }
    Ok(())
}

/// Names of accounts, as they are sent.
struct Accounts {
    customers: Vec<String>,
    scopes: Vec<String>,
    quotas: Vec<String>,
    starts: Vec<i64>,
    ends: Vec<Option<i64>>,
}

impl Accounts {
    fn new<'a>(accounts: impl Iterator<Item = (&'a str, &'a AccountId)> + Clone) -> Self {
        let texts = |of: fn((&'a str, &'a AccountId)) -> &'a str| -> Vec<_> {
            accounts.clone().map(|account| text::encode(of(account)).into_owned()).collect()
        };
        Self {
            customers: texts(|(customer, _)| customer),
            scopes: texts(|(_, account)| &account.scope),
            quotas: texts(|(_, account)| &account.quota),
            starts: accounts.clone().map(|(_, account)| ms(account.window.start)).collect(),
            ends: accounts.map(|(_, account)| account.window.end.map(ms)).collect(),
        }
    }
}

/// Gives the reply of a row, unless a later letter was heard.
fn read_reply(row: &Row, turn: u64) -> Result<Option<Reply>, StoreError> {
    let granted: Option<i64> = row.try_get(1).map_err(super::damaged)?;
    let Some(granted) = granted.map(unsigned) else { return Ok(None) };
    let is_behind = row.try_get(8).map_err(super::damaged)?;
    Ok(Some(Reply { turn, granted, lasts: LASTS, rest: read_rest(row, 2)?, is_behind }))
}

fn read_rest(row: &Row, at: usize) -> Result<Rest, StoreError> {
    let column = |offset: usize| integer(row, at.saturating_add(offset)).map(unsigned);
    let (free, left, used) = (column(0)?, column(1)?, column(2)?);
    Ok(Rest { free, left, used, held: column(3)?, forfeited: column(4)? })
}

/// Reads an account, and the units in a column.
fn read_booked(row: &Row, at: usize) -> Result<Booked, StoreError> {
    let end: Option<i64> = row.try_get(4).map_err(super::damaged)?;
    Ok(Booked {
        customer: value::text(row, 0)?.into_owned(),
        account: AccountId {
            scope: value::text(row, 1)?.as_ref().into(),
            quota: value::text(row, 2)?.as_ref().into(),
            window: Window { start: instant(integer(row, 3)?), end: end.map(instant) },
        },
        units: unsigned(integer(row, at)?),
    })
}

fn bounded(units: u64) -> i64 {
    units.min(MOST).cast_signed()
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
