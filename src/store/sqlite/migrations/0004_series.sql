-- What a fold rewrites is found by numbers, which the writer remembers: to look for four texts costs it
-- several times what it costs to write the row.
DROP VIEW customer_minutes;
ALTER TABLE usage RENAME TO usage_by_name;
ALTER TABLE usage_minutes RENAME TO usage_minutes_by_name;
ALTER TABLE usage_hours RENAME TO usage_hours_by_name;

-- Units used per account. A window without an end has none.
CREATE TABLE usage (
    id           INTEGER NOT NULL PRIMARY KEY,
    customer     TEXT    NOT NULL,
    scope        TEXT    NOT NULL,
    quota        TEXT    NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER,
    used         INTEGER NOT NULL,
    UNIQUE (customer, scope, quota, window_start)
) STRICT;

INSERT INTO usage (customer, scope, quota, window_start, window_end, used)
    SELECT customer, scope, quota, window_start, window_end, used FROM usage_by_name
    ORDER BY customer, scope, quota, window_start;

-- Whose requests are counted together. Series with the same place are of one customer, and their
-- minutes lie together.
CREATE TABLE usage_series (
    id       INTEGER NOT NULL PRIMARY KEY,
    place    INTEGER NOT NULL,
    customer TEXT    NOT NULL,
    key_id   TEXT    NOT NULL,
    route    TEXT    NOT NULL,
    ending   TEXT    NOT NULL,
    UNIQUE (customer, key_id, route, ending)
) STRICT;

INSERT INTO usage_series
    SELECT number, min(number) OVER (PARTITION BY customer), customer, key_id, route, ending
    FROM (
        SELECT row_number() OVER (ORDER BY customer, key_id, route, ending) AS number,
            customer, key_id, route, ending
        FROM (SELECT DISTINCT customer, key_id, route, ending FROM usage_minutes_by_name)
    )
    ORDER BY number;

-- Requests by the minute in which they were let through, in the order of time, so that a fold writes at
-- the end of the table.
CREATE TABLE usage_minutes (
    minute   INTEGER NOT NULL,
    place    INTEGER NOT NULL,                      -- that of the series
    series   INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    units    INTEGER NOT NULL,
    PRIMARY KEY (minute, place, series)
) STRICT, WITHOUT ROWID;

-- The numbers follow the order of the texts, so this writes in the order in which it reads.
INSERT INTO usage_minutes
    SELECT m.minute, s.place, s.id, m.requests, m.units
    FROM usage_minutes_by_name AS m CROSS JOIN usage_series AS s
        USING (customer, key_id, route, ending);

-- The hours in which a customer has minutes, and their place: where to look for those of one customer.
-- Written once an hour, and so no burden to a fold as an index of the minutes would be.
CREATE TABLE usage_hours (
    customer TEXT    NOT NULL,
    hour     INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    PRIMARY KEY (customer, hour, place)
) STRICT, WITHOUT ROWID;

INSERT INTO usage_hours
    SELECT h.customer, h.hour, s.place
    FROM usage_hours_by_name AS h
        JOIN (SELECT DISTINCT customer, place FROM usage_series) AS s USING (customer);

DROP TABLE usage_by_name;
DROP TABLE usage_minutes_by_name;
DROP TABLE usage_hours_by_name;

-- The minutes of one customer, found by its hours: for "customer = X", with bounds of "hour" that are
-- wide enough for those of "minute".
CREATE VIEW customer_minutes AS
    WITH RECURSIVE past(ms) AS (VALUES (0) UNION ALL SELECT ms + 60000 FROM past WHERE ms < 3540000)
    SELECT h.customer, h.hour, m.minute, m.place, m.series, s.key_id, s.route, s.ending,
        m.requests, m.units
    FROM usage_hours AS h CROSS JOIN past
        CROSS JOIN usage_minutes AS m ON m.minute = h.hour + past.ms AND m.place = h.place
        CROSS JOIN usage_series AS s ON s.id = m.series AND s.customer = h.customer;
