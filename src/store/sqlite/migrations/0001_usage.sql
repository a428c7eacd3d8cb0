-- All times are Unix milliseconds in UTC.

-- Units used per account. A window without an end has none.
CREATE TABLE usage (
    customer     TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    quota        TEXT    NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER,
    used         INTEGER NOT NULL,
    PRIMARY KEY (customer, scope, quota, window_start)
) STRICT, WITHOUT ROWID;

-- Requests by the minute in which they were let through, and how they ended.
CREATE TABLE usage_minutes (
    customer TEXT    NOT NULL,
    minute   INTEGER NOT NULL,
    key_id   TEXT    NOT NULL,
    route    TEXT    NOT NULL,
    ending   TEXT    NOT NULL,
    requests INTEGER NOT NULL,
    units    INTEGER NOT NULL,
    PRIMARY KEY (customer, minute, key_id, route, ending)
) STRICT, WITHOUT ROWID;

-- Reservations without an ending at the last fold. Not yet part of usage.
CREATE TABLE open_reservations (
    node       TEXT    NOT NULL,
    worker     INTEGER NOT NULL,
    sequence   INTEGER NOT NULL,
    request_id TEXT    NOT NULL,
    customer   TEXT    NOT NULL,
    definition BLOB    NOT NULL,
    cost       INTEGER NOT NULL,
    opened_at  INTEGER NOT NULL,
    PRIMARY KEY (node, worker, sequence)
) STRICT, WITHOUT ROWID;

-- How far the journals are folded: all before this place is in the tables above.
CREATE TABLE positions (
    node     TEXT    NOT NULL,
    worker   INTEGER NOT NULL,
    segment  INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    latest   INTEGER NOT NULL,
    PRIMARY KEY (node, worker)
) STRICT, WITHOUT ROWID;
