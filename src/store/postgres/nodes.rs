//! Who shares the database: the rows of `nodes`.
//!
//! Order of the locks: a node's row comes first, and what belongs to the node afterwards, so that a process that
//! begins, one that is forgotten and one that goes on wait for one another and never in a circle.

use std::time::Duration;

use tokio_postgres::Row;

use super::{
    connection::Connection,
    leases,
    link::Arguments,
    unsigned,
    value::{integer, text},
};
use crate::store::{
    NodeId, StoreError, instant,
    records::{NodeHolds, NodeRecord, NodeState},
};

/// For how long a node that is not seen is still taken for one that is there.
pub(super) const LIVE_MS: i64 = 5000;

/// For how long a node does what is done once for all, from when it last said that it is there.
const LEADS: Duration = Duration::from_secs(5);

/// What a node learns when it says that it is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Beat {
    /// Whether this process is its node's last one. To another nobody listens.
    pub is_heard: bool,
    /// How many of the live nodes come before this one.
    pub rank: u32,
    /// How many nodes are live, with this one.
    pub count: u32,
    /// For how long this process does what is done once for all nodes, from before it asked; `None` where another
    /// one does, or nobody.
    pub leads: Option<Duration>,
}

/// Begins a process of a node; gives its number.
pub(super) fn join(
    connection: &Connection,
    node: NodeId,
    version: &str,
) -> Result<u64, StoreError> {
    // The number is taken under the row's lock: of two processes that begin at once the later one has the higher.
    let sql = "INSERT INTO nodes AS n (id, run, version, started_at, seen_at, is_stopped)
        VALUES ($1, nextval('runs'), $2, now_ms(), now_ms(), false)
        ON CONFLICT (id) DO UPDATE SET run = nextval('runs'), version = excluded.version,
            started_at = now_ms(), seen_at = now_ms(), is_stopped = false
        RETURNING run";
    let rows = connection.rows("write to", sql, &[&node.to_string(), &version])?;
    let row = rows.first().ok_or_else(|| StoreError::new("write to", "a process has no number"))?;
    Ok(unsigned(integer(row, 0)?))
}

/// Says that a process is there, and asks who else is. If it wants the lead, it keeps that or takes it where nobody has
/// it any more; else it gives it up.
///
/// A process that is not listened to has no lead, so of a node the one before it loses it to the last one at once. An
/// end that is farther away than any can be was set before the server's clock went back, and counts for nothing.
pub(super) fn beat(
    connection: &Connection,
    node: NodeId,
    run: u64,
    wants_lead: bool,
) -> Result<Beat, StoreError> {
    let sql = "WITH heard AS (UPDATE nodes SET seen_at = now_ms() WHERE id = $1 AND run = $2 RETURNING id),
        led AS (
            UPDATE lead SET node = $1, ends = CASE WHEN $4 THEN now_ms() + $5::bigint ELSE 0 END
            WHERE EXISTS (SELECT FROM heard) AND (node = $1 AND (ends > 0 OR $4)
                OR $4 AND (ends <= now_ms() OR ends > now_ms() + 2 * $5::bigint))
            RETURNING ends)
        SELECT (SELECT count(*) FROM heard), count(*), count(*) FILTER (WHERE id < $1),
            (SELECT count(*) FROM led WHERE ends > 0)
        FROM nodes WHERE id = $1 OR (NOT is_stopped AND seen_at > now_ms() - $3)";
    let (node, run) = (node.to_string(), signed(run));
    let leads_ms = i64::try_from(LEADS.as_millis()).unwrap_or(i64::MAX);
    let arguments: Arguments<'_> = &[&node, &run, &LIVE_MS, &wants_lead, &leads_ms];
    let rows = connection.rows("write to", sql, arguments)?;
    let row = rows.first().ok_or_else(|| StoreError::new("read", "nobody is counted"))?;
    let count = |at| integer(row, at).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    Ok(Beat {
        is_heard: integer(row, 0)? > 0,
        count: count(1)?.max(1),
        rank: count(2)?,
        leads: (integer(row, 3)? > 0).then_some(LEADS),
    })
}

/// Says that a process has stopped, takes nothing any more, and has no lead.
pub(super) fn leave(connection: &Connection, node: NodeId, run: u64) -> Result<(), StoreError> {
    let sql = "WITH gone AS (
            UPDATE nodes SET is_stopped = true, seen_at = now_ms() WHERE id = $1 AND run = $2 RETURNING id)
        UPDATE lead SET ends = 0 WHERE node = $1 AND EXISTS (SELECT FROM gone)";
    connection.write(sql, &[&node.to_string(), &signed(run)]).map(drop)
}

const COLUMNS: &str =
    "n.id, n.run, n.version, n.started_at, n.seen_at, n.is_stopped, n.seen_at > now_ms() - $1,
    h.accounts, h.units, h.forfeited,
    EXISTS (SELECT FROM lead AS l WHERE l.node = n.id AND l.ends > now_ms())";

/// What each has of leases. Money is no sum of units.
const NODES: &str = "nodes AS n, LATERAL (
    SELECT count(*) FILTER (WHERE NOT l.is_forfeited) AS accounts,
        coalesce(sum(l.unspent) FILTER (WHERE NOT l.is_forfeited AND NOT l.is_money), 0)::bigint AS units,
        coalesce(sum(l.unspent) FILTER (WHERE l.is_forfeited AND NOT l.is_money), 0)::bigint AS forfeited
    FROM (SELECT o.is_forfeited, greatest(o.ceiling - o.spent, o.held) AS unspent, p.scope = 'grant' AS is_money
        FROM leases AS o JOIN pools AS p ON p.id = o.pool WHERE o.node = n.id) AS l WHERE l.unspent > 0) AS h";

/// Lists all nodes by their ids.
pub(super) fn list(connection: &Connection) -> Result<Vec<NodeRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM {NODES} ORDER BY n.id");
    connection.rows("read", &sql, &[&LIVE_MS])?.iter().map(read).collect()
}

/// Removes a node unless it is live or has something that it may still charge, and gives what it was; in a
/// transaction. What counted as used because it is silent is used for good.
pub(super) fn forget(connection: &Connection, id: &str) -> Result<Option<NodeRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM {NODES} WHERE n.id = $2 FOR UPDATE OF n");
    let rows = connection.rows("read", &sql, &[&LIVE_MS, &id])?;
    let Some(record) = rows.first().map(read).transpose()? else { return Ok(None) };
    if record.state != NodeState::Live && record.holds.accounts == 0 {
        leases::forget(connection, id)?;
    }
    Ok(Some(record))
}

fn read(row: &Row) -> Result<NodeRecord, StoreError> {
    let flag = |at: usize| row.try_get::<_, bool>(at).map_err(super::damaged);
    let state = match (flag(5)?, flag(6)?) {
        (true, _) => NodeState::Stopped,
        (false, true) => NodeState::Live,
        (false, false) => NodeState::Silent,
    };
    Ok(NodeRecord {
        id: text(row, 0)?.into_owned(),
        run: unsigned(integer(row, 1)?),
        version: text(row, 2)?.into_owned(),
        started_at: instant(integer(row, 3)?),
        seen_at: instant(integer(row, 4)?),
        state,
        holds: NodeHolds {
            accounts: unsigned(integer(row, 7)?),
            units: unsigned(integer(row, 8)?),
            forfeited: unsigned(integer(row, 9)?),
        },
        leads: flag(10)?,
    })
}

/// Runs come from a sequence, which does not reach further.
fn signed(run: u64) -> i64 {
    i64::try_from(run).unwrap_or(i64::MAX)
}
