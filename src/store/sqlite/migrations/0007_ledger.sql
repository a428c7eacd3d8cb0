-- Money, and the ledger: every movement of an account, only appended to. Amounts of money are nano-units
-- of the currency.

-- One customer's money of one currency. What it owes may be below zero while a repayment is written and
-- what it repays is not folded yet.
CREATE TABLE purses (
    id       INTEGER NOT NULL PRIMARY KEY,
    customer TEXT    NOT NULL,
    currency TEXT    NOT NULL,
    owed     INTEGER NOT NULL,
    UNIQUE (customer, currency)
) STRICT;

-- What is left is without what is charged and not folded yet.
CREATE TABLE grants (
    number     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL,
    purse      INTEGER NOT NULL,
    amount     INTEGER NOT NULL,
    "left"     INTEGER NOT NULL,
    priority   INTEGER NOT NULL,
    source     TEXT    NOT NULL,
    effective  INTEGER NOT NULL,
    expires    INTEGER,
    note       TEXT,
    actor      TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX grants_by_id ON grants (id);
CREATE INDEX grants_by_purse ON grants (purse, number);
CREATE INDEX grants_by_expiry ON grants (expires) WHERE expires IS NOT NULL AND "left" <> 0;

CREATE TRIGGER grants_are_not_changed
BEFORE UPDATE OF number, id, purse, amount, priority, source, effective, expires, created_at ON grants
BEGIN SELECT RAISE(ABORT, 'of a grant only what is left changes'); END;

CREATE TRIGGER grants_are_not_removed BEFORE DELETE ON grants
BEGIN SELECT RAISE(ABORT, 'grants are only appended to'); END;

ALTER TABLE open_reservations ADD COLUMN nanos INTEGER NOT NULL DEFAULT 0;

-- Series of calls that money paid, by its currency, beside those that an allowance paid.
DROP VIEW customer_minutes;
ALTER TABLE usage_series RENAME TO usage_series_of_units;
ALTER TABLE usage_minutes ADD COLUMN nanos INTEGER NOT NULL DEFAULT 0;

CREATE TABLE usage_series (
    id       INTEGER NOT NULL PRIMARY KEY,
    place    INTEGER NOT NULL,
    customer TEXT    NOT NULL,
    key_id   TEXT    NOT NULL,
    route    TEXT    NOT NULL,
    ending   TEXT    NOT NULL,
    currency TEXT    NOT NULL,                      -- empty for an allowance
    UNIQUE (customer, key_id, route, ending, currency)
) STRICT;

INSERT INTO usage_series
    SELECT id, place, customer, key_id, route, ending, '' FROM usage_series_of_units ORDER BY id;

DROP TABLE usage_series_of_units;

CREATE VIEW customer_minutes AS
    WITH RECURSIVE past(ms) AS (VALUES (0) UNION ALL SELECT ms + 60000 FROM past WHERE ms < 3540000)
    SELECT h.customer, h.hour, m.minute, m.place, m.series, s.key_id, s.route, s.ending, s.currency,
        m.requests, m.units, m.nanos
    FROM usage_hours AS h CROSS JOIN past
        CROSS JOIN usage_minutes AS m ON m.minute = h.hour + past.ms AND m.place = h.place
        CROSS JOIN usage_series AS s ON s.id = m.series AND s.customer = h.customer;

-- Names of routes, in few bytes.
CREATE TABLE names (
    id   INTEGER NOT NULL PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

-- In the tables below "of" says what an account is: 0 a row of usage, in units, 1 a purse. "grant" is a
-- grant's number; 0 for a row of usage, and for what the owner of a purse owes.

-- What was consumed in minutes that may not be over, and so is not entered yet.
CREATE TABLE consumption (
    minute   INTEGER NOT NULL,
    "of"     INTEGER NOT NULL,
    account  INTEGER NOT NULL,
    "grant"  INTEGER NOT NULL,
    route    INTEGER NOT NULL,                      -- of names
    requests INTEGER NOT NULL,
    amount   INTEGER NOT NULL,
    PRIMARY KEY (minute, "of", account, "grant", route)
) STRICT, WITHOUT ROWID;

-- The ledger, in the order of time, so that it grows at its end. Of a row of usage the amount is what is
-- used more, and the balance what is used; of a purse the amount is what it has more, and the balance what
-- is left of all its grants, less what is owed.
CREATE TABLE entries (
    entered   INTEGER NOT NULL,                     -- the minute
    "of"      INTEGER NOT NULL,
    account   INTEGER NOT NULL,
    number    INTEGER NOT NULL,                     -- rising
    kind      TEXT    NOT NULL,
    "grant"   INTEGER NOT NULL,
    minute    INTEGER,                              -- in which it was consumed
    route     INTEGER,                              -- of names
    requests  INTEGER,
    amount    INTEGER NOT NULL,
    balance   INTEGER NOT NULL,
    reference TEXT,
    PRIMARY KEY (entered, "of", account, number)
) STRICT, WITHOUT ROWID;

-- The number of the last entry, and the minute before which entries are carried.
CREATE TABLE ledger (
    number  INTEGER NOT NULL,
    carried INTEGER NOT NULL
) STRICT;

INSERT INTO ledger VALUES (0, -9223372036854775808);

-- The hours in which there are entries of an account: where to look for them.
CREATE TABLE entry_hours (
    "of"    INTEGER NOT NULL,
    account INTEGER NOT NULL,
    hour    INTEGER NOT NULL,
    PRIMARY KEY ("of", account, hour)
) STRICT, WITHOUT ROWID;

-- The sum of the entries that were dropped.
CREATE TABLE carried (
    "of"    INTEGER NOT NULL,
    account INTEGER NOT NULL,
    "grant" INTEGER NOT NULL,
    amount  INTEGER NOT NULL,
    PRIMARY KEY ("of", account, "grant")
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the ledger is only appended to'); END;

CREATE TRIGGER entries_are_not_removed BEFORE DELETE ON entries
WHEN OLD.entered >= (SELECT carried FROM ledger)
BEGIN SELECT RAISE(ABORT, 'the ledger is only appended to'); END;

-- What was used before there was a ledger.
INSERT INTO carried SELECT 0, id, 0, used FROM usage WHERE used <> 0;
