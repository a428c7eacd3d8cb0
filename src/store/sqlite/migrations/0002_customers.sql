-- What an operator made and changed, and what is to be told of it. All times are Unix milliseconds
-- in UTC; columns that are said to be JSON are never looked into by SQL.

CREATE TABLE customers (
    id               TEXT    NOT NULL PRIMARY KEY,
    name             TEXT,
    metadata         TEXT,                          -- JSON, an object of texts; NULL for none
    suspended        INTEGER NOT NULL,
    limits           TEXT,                          -- JSON; NULL for none of its own
    webhook_url      TEXT,
    webhook_secret   TEXT,                          -- as it is: events are signed with it
    webhook_disabled TEXT,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE subscriptions (
    customer         TEXT    NOT NULL PRIMARY KEY,
    "plan"           TEXT    NOT NULL,
    status           TEXT    NOT NULL,
    anchor           INTEGER,
    starts           INTEGER,
    trial_end        INTEGER,
    past_due_since   INTEGER,
    cancel_at        INTEGER,
    period_start     INTEGER,
    period_end       INTEGER,
    pause_collection INTEGER NOT NULL,
    grace            INTEGER,                       -- milliseconds
    changed          TEXT,                          -- JSON
    restarted        INTEGER,
    next             TEXT                           -- JSON
) STRICT, WITHOUT ROWID;

CREATE INDEX subscriptions_by_cancel_at ON subscriptions (cancel_at) WHERE cancel_at IS NOT NULL;
CREATE INDEX subscriptions_by_trial_end ON subscriptions (trial_end) WHERE trial_end IS NOT NULL;

CREATE TABLE applications (
    customer   TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    limits     TEXT,                                -- JSON; NULL for none
    created_at INTEGER NOT NULL,
    PRIMARY KEY (customer, name)
) STRICT, WITHOUT ROWID;

-- Keys by the digest alone: the text of a key is nowhere.
CREATE TABLE keys (
    id          TEXT    NOT NULL PRIMARY KEY,
    customer    TEXT    NOT NULL,
    application TEXT,
    name        TEXT,
    digest      BLOB    NOT NULL,
    hint        TEXT,
    env         TEXT,
    scopes      TEXT,                               -- JSON, a list of texts; NULL for none
    allow_from  TEXT,                               -- JSON, a list of networks; NULL for any
    expires     INTEGER,
    status      TEXT    NOT NULL,
    revoked_at  INTEGER,
    replaced_by TEXT,
    lineage     TEXT    NOT NULL,
    limits      TEXT,                               -- JSON; NULL for none of its own
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX keys_by_digest ON keys (digest);
CREATE INDEX keys_by_customer ON keys (customer);
CREATE INDEX keys_by_expiry ON keys (expires) WHERE expires IS NOT NULL;

-- The latest minute in which a key was used, also of keys that the file declares.
CREATE TABLE key_uses (
    key_id TEXT    NOT NULL PRIMARY KEY,
    minute INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Removed customers, by their names in the journal: what was in flight when one was removed is
-- counted under the pseudonym.
CREATE TABLE pseudonyms (
    name      TEXT NOT NULL PRIMARY KEY,
    pseudonym TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    number   INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    customer TEXT,
    subject  TEXT    NOT NULL,
    before   TEXT,                                  -- JSON
    after    TEXT                                   -- JSON
) STRICT;

CREATE INDEX audit_by_customer ON audit (customer, number) WHERE customer IS NOT NULL;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is only appended to'); END;

CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is only appended to'); END;

CREATE TABLE adjustments (
    number       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id           TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    customer     TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    quota        TEXT    NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER,
    amount       INTEGER NOT NULL,
    used         INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    actor        TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX adjustments_by_id ON adjustments (id);
CREATE INDEX adjustments_by_customer ON adjustments (customer, number);

CREATE TRIGGER adjustments_are_not_changed BEFORE UPDATE ON adjustments
BEGIN SELECT RAISE(ABORT, 'corrections are only appended to'); END;

CREATE TRIGGER adjustments_are_not_removed BEFORE DELETE ON adjustments
BEGIN SELECT RAISE(ABORT, 'corrections are only appended to'); END;

-- Answers to calls that may be repeated, by the digest of the caller's key for it.
CREATE TABLE idempotency (
    key     BLOB    NOT NULL PRIMARY KEY,
    request BLOB    NOT NULL,
    status  INTEGER NOT NULL,
    body    TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_time ON idempotency (at);

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Events and how far their delivery is. Of those that are pending for one endpoint about one
-- customer only the oldest has a next_attempt: the others wait for it, so that order is kept.
CREATE TABLE outbox (
    sequence     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id           TEXT    NOT NULL,
    endpoint     TEXT    NOT NULL,
    customer     TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    mark         TEXT,
    state        TEXT    NOT NULL,
    attempts     INTEGER NOT NULL,
    next_attempt INTEGER,
    last_status  INTEGER,
    last_error   TEXT,
    ended_at     INTEGER                            -- when the last attempt was due
) STRICT;

CREATE UNIQUE INDEX outbox_by_mark ON outbox (endpoint, mark) WHERE mark IS NOT NULL;
CREATE INDEX outbox_by_id ON outbox (id);
CREATE INDEX outbox_by_state ON outbox (state, next_attempt);
CREATE INDEX outbox_by_number ON outbox (state, sequence);
CREATE INDEX outbox_pending ON outbox (endpoint, customer, sequence) WHERE state = 'pending';
CREATE INDEX outbox_of_customers ON outbox (next_attempt)
    WHERE state = 'pending' AND endpoint <> '' AND next_attempt IS NOT NULL;
CREATE INDEX outbox_by_end ON outbox (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE thresholds (
    customer     TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    quota        TEXT    NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER,
    told         INTEGER NOT NULL,
    "limit"      INTEGER NOT NULL,
    PRIMARY KEY (customer, scope, quota, window_start)
) STRICT, WITHOUT ROWID;

CREATE INDEX thresholds_by_end ON thresholds (window_end) WHERE window_end IS NOT NULL;
