-- Records: a turn has a number of its own, may be deleted, and is counted.
ALTER TABLE messages
    ADD COLUMN number BIGINT GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN is_deleted BOOLEAN DEFAULT false NOT NULL;
CREATE INDEX messages_app_id ON messages (app_id, record_type, is_deleted, number);
CREATE INDEX messages_owner ON messages (owner, number);

-- How many records there are: of a user, and (owner 0) of all users of an app, spread over 32 shards so that chats of
-- different users seldom wait for each other.
CREATE TABLE record_counts (
    app_id UUID NOT NULL,
    owner BIGINT NOT NULL,
    record_type TEXT NOT NULL,
    is_deleted BOOLEAN NOT NULL,
    shard SMALLINT NOT NULL,
    records BIGINT NOT NULL,
    CONSTRAINT record_counts_pk PRIMARY KEY (app_id, owner, record_type, is_deleted, shard)
) WITH (fillfactor = 50);

CREATE TABLE user_counts (
    app_id UUID NOT NULL,
    shard SMALLINT NOT NULL,
    users BIGINT NOT NULL,
    CONSTRAINT user_counts_pk PRIMARY KEY (app_id, shard)
) WITH (fillfactor = 50);

INSERT INTO record_counts (app_id, owner, record_type, is_deleted, shard, records)
SELECT app_id, owner, record_type, is_deleted, 0, count(*) FROM messages GROUP BY 1, 2, 3, 4
UNION ALL
SELECT app_id, 0, record_type, is_deleted, owner % 32, count(*) FROM messages GROUP BY 1, 2, 3, 4, 5;

INSERT INTO user_counts (app_id, shard, users) SELECT app_id, id % 32, count(*) FROM users GROUP BY 1, 2;

-- Add to the counts of a user's records; the user's own row first, so that two that add wait for each other in order.
CREATE FUNCTION count_records(p_app uuid, p_owner bigint, p_type text, p_deleted boolean, p_records bigint)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO record_counts AS c (app_id, owner, record_type, is_deleted, shard, records)
    VALUES (p_app, p_owner, p_type, p_deleted, 0, p_records), (p_app, 0, p_type, p_deleted, p_owner % 32, p_records)
    ON CONFLICT (app_id, owner, record_type, is_deleted, shard) DO UPDATE SET records = c.records + EXCLUDED.records;
$$;

CREATE FUNCTION count_new_record() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_records(NEW.app_id, NEW.owner, NEW.record_type, NEW.is_deleted, 1);
    RETURN NULL;
END $$;
CREATE TRIGGER count_new_record AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION count_new_record();

CREATE FUNCTION count_new_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_counts AS c (app_id, shard, users) VALUES (NEW.app_id, NEW.id % 32, 1)
    ON CONFLICT (app_id, shard) DO UPDATE SET users = c.users + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER count_new_user AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION count_new_user();

-- Mark records of a user as deleted: those of a surface, of a conversation, one message; NULL is all of them. This is
-- the only way to do it, for it counts them. How many there were.
CREATE FUNCTION delete_records(p_owner bigint, p_surface text, p_conversation uuid, p_message uuid)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    g record;
    v_deleted bigint := 0;
BEGIN
    FOR g IN
        WITH gone AS (
            UPDATE messages m SET is_deleted = true, updated_at = now()
              FROM conversations c
             WHERE m.owner = p_owner AND NOT m.is_deleted AND c.id = m.conversation_id
               AND (p_surface IS NULL OR c.surface = p_surface)
               AND (p_conversation IS NULL OR c.id = p_conversation)
               AND (p_message IS NULL OR m.id = p_message)
            RETURNING m.app_id, m.record_type)
        SELECT app_id, record_type, count(*) AS records FROM gone GROUP BY 1, 2 ORDER BY 1, 2
    LOOP
        PERFORM count_records(g.app_id, p_owner, g.record_type, false, -g.records);
        PERFORM count_records(g.app_id, p_owner, g.record_type, true, g.records);
        v_deleted := v_deleted + g.records;
    END LOOP;
    RETURN v_deleted;
END $$;
