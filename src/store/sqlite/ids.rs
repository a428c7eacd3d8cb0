//! The numbers of the rows that folds write again and again: to look for a row by its texts costs
//! several times what it costs to write it.
//!
//! Invariant: what is remembered was committed, and nothing renamed it since. Who has a transaction
//! takes the memory away and brings it back behind the commit; what fails brings nothing back, and
//! neither does what removed a customer. All of it can be found again.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
    mem,
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

/// What is remembered between folds.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// By customer, scope, quota and start.
    pub(super) accounts: Remembered<AccountId>,
    /// By customer, key, route and ending.
    pub(super) series: Remembered<Series>,
    /// Of routes.
    pub(super) names: Names,
    /// Whose entries of an hour are found.
    pub(super) noted: Noted,
    /// The latest hour that was told.
    hour: i64,
}

/// The numbers of names. Routes are few; those that a reload took away stay until the next one that
/// removes a customer.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<Box<str>, i64>);

impl Names {
    /// Gives the number of a name, a new one if it has none yet.
    pub(super) fn number(&mut self, connection: &Connection, name: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.0.get(name) {
            return Ok(*number);
        }
        let find = || -> rusqlite::Result<Option<i64>> {
            let mut find = connection.prepare_cached("SELECT id FROM names WHERE name = ?1")?;
            find.query_row([name], |row| row.get(0)).optional()
        };
        let number = match find()? {
            Some(number) => number,
            None => {
                connection.execute("INSERT INTO names (name) VALUES (?1)", [name])?;
                connection.last_insert_rowid()
            }
        };
        self.0.insert(name.into(), number);
        Ok(number)
    }
}

/// The rows of `usage` for which it is noted that they have entries in the latest hour: a bit for each, as
/// the numbers are dense.
#[derive(Debug, Default)]
pub(super) struct Noted {
    hour: i64,
    rows: Vec<u64>,
}

impl Noted {
    /// Tells whether a row is to be noted, and takes it for noted from then on.
    pub(super) fn is_new(&mut self, hour: i64, row: i64) -> bool {
        if hour != self.hour {
            self.hour = hour;
            self.rows.clear();
        }
        let Ok(row) = usize::try_from(row) else { return true };
        let (word, bit) = (row / 64, 1 << (row % 64));
        if word >= self.rows.len() {
            if word >= NOTED_WORDS_MAX {
                return true;
            }
            self.rows.resize(word + 1, 0);
        }
        let Some(word) = self.rows.get_mut(word) else { return true };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

/// 16 MiB, for a hundred million rows and more; those behind are noted again each time.
const NOTED_WORDS_MAX: usize = 1 << 21;

/// The number of a row of `usage`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct AccountId(pub(super) u32);

/// A row of `usage_series`, of which a fold has written. Small, since there may be a million.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Series {
    /// Its number.
    pub(super) id: u32,
    /// Where its customer's minutes lie.
    pub(super) place: u32,
    /// The latest hour in which a minute was written, counted from the epoch: it is noted that there
    /// are some in it.
    pub(super) hour: i32,
}

/// Values by fingerprints of what they belong to: the recent ones and those before them. Those that
/// nobody asks for go when the recent ones become the old ones.
#[derive(Debug)]
pub(super) struct Remembered<V> {
    secrets: [RandomState; 2],
    recent: Map<V>,
    old: Map<V>,
}

type Map<V> = HashMap<Fingerprint, V, BuildHasherDefault<Head>>;

/// 128 bits under a secret of this process, so that no two texts are ever taken for one another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Fingerprint([u8; 16]);

/// As many as fill a table of a mebi of entries, some 20 or 30 MB, of which there are two.
#[cfg(not(test))]
const RECENT_MAX: usize = (1 << 20) / 8 * 7;
#[cfg(test)]
const RECENT_MAX: usize = 4;

impl Ids {
    /// Is told a time. With each hour goes what was not asked for in the one before, such as accounts
    /// of windows that are over.
    pub(super) fn turn(&mut self, now: Option<Timestamp>) {
        let Self { accounts, series, names: _, noted: _, hour } = self;
        let now = now.map_or(0, Timestamp::as_second) / 3600;
        if now > *hour {
            accounts.age();
            series.age();
            *hour = now;
        }
    }
}

impl<V: Copy> Remembered<V> {
    pub(super) fn fingerprint(&self, of: &impl Hash) -> Fingerprint {
        let [head, tail] = self.secrets.each_ref().map(|secret| secret.hash_one(of).to_ne_bytes());
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&head);
        bytes[8..].copy_from_slice(&tail);
        Fingerprint(bytes)
    }

    pub(super) fn put(&mut self, key: Fingerprint, value: V) {
        if self.recent.len() >= RECENT_MAX && !self.recent.contains_key(&key) {
            self.age();
        }
        self.recent.insert(key, value);
    }

    /// Gives what was put; it is among the recent ones then.
    pub(super) fn find(&mut self, key: &Fingerprint) -> Option<V> {
        if let Some(value) = self.recent.get(key) {
            return Some(*value);
        }
        let value = self.old.remove(key)?;
        self.put(*key, value);
        Some(value)
    }

    fn age(&mut self) {
        self.old = mem::take(&mut self.recent);
    }
}

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        let secrets = [RandomState::new(), RandomState::new()];
        Self { secrets, recent: Map::default(), old: Map::default() }
    }
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// Takes the head of a fingerprint for its hash: it is one.
#[derive(Debug, Default)]
pub(super) struct Head(u64);

impl Hasher for Head {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().copied().map_or(0, u64::from_ne_bytes);
    }
}
