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
