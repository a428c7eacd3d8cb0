-- Of a node's processes only the last one is listened to, which has its run.
CREATE TABLE nodes (
    id  TEXT   NOT NULL COLLATE "C" PRIMARY KEY,
    run BIGINT NOT NULL
);
