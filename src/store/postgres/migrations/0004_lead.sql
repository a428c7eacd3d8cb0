-- Which node does what is to be done once for all of them, and until when, by this server's clock. Nobody at first.
CREATE TABLE lead (
    node TEXT   NOT NULL COLLATE "C",
    ends BIGINT NOT NULL
);

INSERT INTO lead VALUES ('', 0);

-- Wakes whoever sends events, which may be another process: one is put into the outbox, or is to be sent again. It is
-- told on the channel of changes, where a word tells it from those.
CREATE FUNCTION tell_outbox() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('faregate_' || md5(TG_TABLE_SCHEMA::text), 'outbox');
    RETURN NULL;
END
$$;

CREATE TRIGGER outbox_is_put AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION tell_outbox();

CREATE TRIGGER outbox_is_put_again AFTER UPDATE OF state ON outbox FOR EACH ROW
    WHEN (new.state = 'pending' AND old.state <> 'pending') EXECUTE FUNCTION tell_outbox();
