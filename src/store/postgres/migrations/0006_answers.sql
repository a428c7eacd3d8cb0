-- Answers that were paid for, kept for a while for who presents the same payment with the same request.
CREATE TABLE paid_answers (
    place   BIGINT NOT NULL PRIMARY KEY,            -- how many bytes were kept up to its end: the oldest has the lowest
    payment BIGINT NOT NULL UNIQUE,
    until   BIGINT NOT NULL,
    request BYTEA  NOT NULL,                        -- a digest of what it answers
    status  BIGINT NOT NULL,
    fields  BYTEA  NOT NULL,
    length  BIGINT,                                 -- what its head says of the body, where there is none
    body    BYTEA  NOT NULL
);

-- Until when it could be settled; none where that has no end, or is not known.
ALTER TABLE payments ADD COLUMN until BIGINT;

-- What its payer calls it.
ALTER TABLE payments ADD COLUMN identifier TEXT COLLATE "C";

-- The Idempotency-Key of the request that presented it first.
ALTER TABLE payments ADD COLUMN idempotency TEXT COLLATE "C";

CREATE INDEX payments_by_age ON payments (claimed_at);
CREATE INDEX payments_by_identifier ON payments (payer, identifier) WHERE identifier IS NOT NULL;
CREATE INDEX payments_by_idempotency ON payments (payer, idempotency) WHERE idempotency IS NOT NULL;
