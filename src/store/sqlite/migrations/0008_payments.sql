-- Payments that came with a request, by what really moves. A row is written before anybody is asked about the
-- payment, and removed only where nothing can have moved.
CREATE TABLE payments (
    number       INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    digest       BLOB    NOT NULL UNIQUE,           -- of the proof, which is long
    proof        TEXT    NOT NULL,
    rail         TEXT    NOT NULL,
    customer     TEXT    NOT NULL,                  -- whose ledger it stands in; the payer where no key came beside
    payer        TEXT    NOT NULL,
    route        TEXT    NOT NULL,
    request_id   TEXT    NOT NULL,                  -- of the request that presented it last
    price        INTEGER NOT NULL,                  -- nano-units of the currency
    currency     TEXT    NOT NULL,
    network      TEXT    NOT NULL,
    amount       TEXT    NOT NULL,                  -- in the smallest unit of what moves
    settler      TEXT,                              -- who found it good, and settles it
    state        TEXT    NOT NULL,
    attempt      INTEGER NOT NULL,                  -- rises with each change: who comes late finds another
    claimed_at   INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    next_attempt INTEGER,                           -- when it is asked about again
    settlement   TEXT,                              -- the transaction that it moved with
    reason       TEXT,
    held         INTEGER NOT NULL                   -- paid, and nothing served for it
) STRICT;

-- What whoever settles them is sent. Apart, since it is long and does not change with each step.
CREATE TABLE payment_tasks (
    payment INTEGER NOT NULL PRIMARY KEY,
    task    TEXT    NOT NULL
) STRICT;

CREATE INDEX payments_by_customer ON payments (customer);
CREATE INDEX payments_by_request ON payments (request_id);
CREATE INDEX payments_by_attempt ON payments (next_attempt) WHERE next_attempt IS NOT NULL;
