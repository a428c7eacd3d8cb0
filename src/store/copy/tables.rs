//! The tables that are copied, in their order.
//!
//! A test compares this list with what both stores have, so that no later table is forgotten.

/// A table that both stores have.
#[derive(Debug)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    /// With spaces between.
    columns: &'static str,
    /// The columns that tell its rows apart in SQLite. By their order rows are read, so that a copy that was broken
    /// off goes on by the number of rows.
    order: &'static str,
    /// The column that counts on by itself.
    pub(in crate::store) number: Option<&'static str>,
    /// What is read in SQLite where that is not the table as it is.
    source: Option<&'static str>,
}

const fn table(name: &'static str, order: &'static str, columns: &'static str) -> Table {
    Table { name, columns, order, number: None, source: None }
}

const fn numbered(name: &'static str, number: &'static str, columns: &'static str) -> Table {
    Table { name, columns, order: number, number: Some(number), source: None }
}

/// SQLite looks among the entries for the minute of the last one, which PostgreSQL has beside its number.
const LEDGER: &str = "(SELECT number, carried,
    coalesce((SELECT max(entered) FROM entries), -9223372036854775808) AS entered FROM ledger)";

/// All of them. Customers and what belongs to them come first, then what was counted.
pub(in crate::store) const TABLES: [Table; 27] = [
    table(
        "customers",
        "id",
        "id name metadata suspended limits webhook_url webhook_secret webhook_disabled created_at \
            updated_at spend_cap",
    ),
    table(
        "subscriptions",
        "customer",
        "customer plan status anchor starts trial_end past_due_since cancel_at period_start \
            period_end pause_collection grace changed restarted next",
    ),
    table("applications", "customer name", "customer name limits created_at"),
    table(
        "keys",
        "id",
        "id customer application name digest hint env scopes allow_from expires status revoked_at \
            replaced_by lineage limits created_at",
    ),
    table("key_hours", "key_id", "key_id hour"),
    table("pseudonyms", "name", "name pseudonym"),
    table("settings", "name", "name value"),
    table("idempotency", "key", "key request status body at"),
    numbered("audit", "number", "number at actor action customer subject before after"),
    numbered(
        "adjustments",
        "number",
        "number id at customer scope quota window_start window_end amount used reason actor",
    ),
    numbered(
        "outbox",
        "sequence",
        "sequence id endpoint customer kind body at mark state attempts next_attempt last_status \
            last_error ended_at",
    ),
    table(
        "thresholds",
        "customer scope quota window_start",
        "customer scope quota window_start window_end told limit",
    ),
    table("positions", "node worker", "node worker segment offset sequence latest"),
    table(
        "open_reservations",
        "node worker sequence",
        "node worker sequence request_id customer definition cost opened_at nanos",
    ),
    numbered("usage", "id", "id customer scope quota window_start window_end used"),
    numbered("usage_series", "id", "id customer key_id route ending currency"),
    table("usage_minutes", "minute place series", "minute series requests units nanos"),
    numbered("purses", "id", "id customer currency owed"),
    numbered(
        "grants",
        "number",
        "number id purse amount left priority source effective expires note actor created_at",
    ),
    numbered(
        "payments",
        "number",
        "number digest proof rail customer payer route request_id price currency network amount settler state \
            attempt claimed_at changed_at next_attempt settlement reason held \
            until identifier idempotency",
    ),
    table("payment_tasks", "payment", "payment task"),
    table("paid_answers", "place", "place payment until request status fields length body"),
    numbered("names", "id", "id name"),
    table(
        "consumption",
        "minute of account grant route",
        "minute of account grant route requests amount",
    ),
    table(
        "entries",
        "entered of account number",
        "entered of account number kind grant minute route requests amount balance reference",
    ),
    Table { source: Some(LEDGER), ..table("ledger", "number", "number entered carried") },
    table("carried", "of account grant", "of account grant amount"),
];

impl Table {
    /// Gives the columns' names.
    pub(in crate::store) fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.columns.split_ascii_whitespace()
    }

    /// Gives how many there are.
    pub(in crate::store) fn width(&self) -> usize {
        self.columns().count()
    }

    /// Lists the columns as they stand in a statement.
    pub(in crate::store) fn list(&self) -> String {
        quoted(self.columns)
    }

    /// Reads all rows of it in SQLite, always in the same order.
    pub(super) fn sqlite_rows(&self) -> String {
        let name = quoted(self.name);
        let (list, order) = (self.list(), quoted(self.order));
        format!("SELECT {list} FROM {} ORDER BY {order}", self.source.unwrap_or(&name))
    }

    /// Reads all rows of it in PostgreSQL, in any order.
    pub(in crate::store) fn postgres_rows(&self) -> String {
        format!("SELECT {} FROM {}", self.list(), quoted(self.name))
    }
}

/// Some names are words of SQL.
fn quoted(names: &str) -> String {
    let quoted = names.split_ascii_whitespace().map(|name| format!("\"{name}\""));
    quoted.collect::<Vec<_>>().join(", ")
}
