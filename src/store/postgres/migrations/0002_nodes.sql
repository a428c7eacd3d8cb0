-- Who shares the database. Times here are the server's, since clocks of nodes differ.
CREATE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- Each process of any node gets a number, higher than all before it, also than those of a node that was forgotten.
CREATE SEQUENCE runs;

-- Of a node's processes only the last one is listened to, which has its run.
CREATE TABLE nodes (
    id         TEXT    NOT NULL COLLATE "C" PRIMARY KEY,
    run        BIGINT  NOT NULL,
    version    TEXT    NOT NULL COLLATE "C",
    started_at BIGINT  NOT NULL,
    seen_at    BIGINT  NOT NULL,
    is_stopped BOOLEAN NOT NULL                     -- it said so, and will take nothing any more
);

-- What was changed, for the memory of the other processes: who changes something writes what it is about in the same
-- transaction. Numbers rise in the order of the commits, since who takes one has the row of change_head until then.
CREATE TABLE changes (
    number BIGINT NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL,
    run    BIGINT NOT NULL,                         -- of the process that changed it
    what   TEXT   NOT NULL COLLATE "C"              -- JSON
);

CREATE INDEX changes_by_time ON changes (at);

-- The number of the last change, and of the last one that was dropped because it is old.
CREATE TABLE change_head (
    number  BIGINT NOT NULL,
    dropped BIGINT NOT NULL
);

INSERT INTO change_head VALUES (0, 0);
