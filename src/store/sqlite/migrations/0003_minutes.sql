-- Minutes in the order of time, so that a fold writes at the end of the table: in the order of
-- customers each of them has a page of its own there, and a fold with many would write them all.
ALTER TABLE usage_minutes RENAME TO usage_minutes_by_customer;

CREATE TABLE usage_minutes (
    minute   INTEGER NOT NULL,
    customer TEXT    NOT NULL,
    key_id   TEXT    NOT NULL,
    route    TEXT    NOT NULL,
    ending   TEXT    NOT NULL,
    requests INTEGER NOT NULL,
    units    INTEGER NOT NULL,
    PRIMARY KEY (minute, customer, key_id, route, ending)
) STRICT, WITHOUT ROWID;

INSERT INTO usage_minutes
    SELECT minute, customer, key_id, route, ending, requests, units FROM usage_minutes_by_customer;

-- The hours in which a customer has minutes: where to look for those of one customer. Written once an
-- hour, and so no burden to a fold as an index of the minutes would be.
CREATE TABLE usage_hours (
    customer TEXT    NOT NULL,
    hour     INTEGER NOT NULL,
    PRIMARY KEY (customer, hour)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO usage_hours
    SELECT customer, minute - (minute % 3600000 + 3600000) % 3600000 FROM usage_minutes_by_customer;

DROP TABLE usage_minutes_by_customer;

-- The minutes of one customer, found by its hours: for "customer = X", with bounds of "hour" that are
-- wide enough for those of "minute".
CREATE VIEW customer_minutes AS
    WITH RECURSIVE past(ms) AS (VALUES (0) UNION ALL SELECT ms + 60000 FROM past WHERE ms < 3540000)
    SELECT h.customer, h.hour, m.minute, m.key_id, m.route, m.ending, m.requests, m.units
    FROM usage_hours AS h CROSS JOIN past
        CROSS JOIN usage_minutes AS m ON m.minute = h.hour + past.ms AND m.customer = h.customer;
