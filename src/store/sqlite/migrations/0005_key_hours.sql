-- The latest hour in which a key was used, also of keys that the file declares; the minute is found
-- among its customer's. Written once an hour, and so no burden to a fold as one per minute would be.
CREATE TABLE key_hours (
    key_id TEXT    NOT NULL PRIMARY KEY,
    hour   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO key_hours
    SELECT key_id, minute - (minute % 3600000 + 3600000) % 3600000 FROM key_uses;

DROP TABLE key_uses;
