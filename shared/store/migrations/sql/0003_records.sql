-- Records: a turn has a number of its own, may be deleted, and is counted.
ALTER TABLE messages
    ADD COLUMN number BIGINT GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN is_deleted BOOLEAN DEFAULT false NOT NULL;

-- Lists are read along these, without the rows themselves where a vacuum saw the page: so it comes more often.
CREATE INDEX messages_app_id ON messages (app_id, record_type, is_deleted, number);
CREATE INDEX messages_owner ON messages (owner, record_type, is_deleted, number);
ALTER TABLE messages SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);

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

-- Whoever counts takes the rows of the counts in the order of their key, with one statement: so two that count at the
-- same time wait for each other, and never both.
CREATE FUNCTION count_records() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO record_counts AS c (app_id, owner, record_type, is_deleted, shard, records)
    SELECT r.app_id, counted.owner, r.record_type, r.is_deleted, counted.shard,
           CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END * count(*)
      FROM changed r CROSS JOIN LATERAL (VALUES (0, r.owner % 32), (r.owner, 0)) AS counted(owner, shard)
     GROUP BY 1, 2, 3, 4, 5
     ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (app_id, owner, record_type, is_deleted, shard) DO UPDATE SET records = c.records + EXCLUDED.records;
    RETURN NULL;
END $$;
CREATE TRIGGER count_new_records AFTER INSERT ON messages
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_records();
CREATE TRIGGER count_removed_records AFTER DELETE ON messages
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_records();

CREATE FUNCTION count_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_counts AS c (app_id, shard, users)
    SELECT app_id, id % 32, CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END * count(*)
      FROM changed GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (app_id, shard) DO UPDATE SET users = c.users + EXCLUDED.users;
    RETURN NULL;
END $$;
CREATE TRIGGER count_new_users AFTER INSERT ON users
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_users();
CREATE TRIGGER count_removed_users AFTER DELETE ON users
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_users();

-- Mark records of a user as deleted: those of a surface, of a conversation, one message; NULL is all of them. This is
-- the only way to do it, for it counts them. How many there were.
--
-- The user's row is locked first, so that two that delete the same records wait for each other. A transaction deletes
-- records of one user.
CREATE FUNCTION delete_records(p_owner bigint, p_surface text, p_conversation uuid, p_message uuid)
RETURNS bigint LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    v_deleted bigint;
BEGIN
    PERFORM 1 FROM users WHERE id = p_owner FOR NO KEY UPDATE;
    WITH gone AS (
        UPDATE messages m SET is_deleted = true, updated_at = now()
          FROM conversations c
         WHERE m.owner = p_owner AND NOT m.is_deleted AND c.id = m.conversation_id
           AND (p_surface IS NULL OR c.surface = p_surface)
           AND (p_conversation IS NULL OR m.conversation_id = p_conversation)
           AND (p_message IS NULL OR m.id = p_message)
        RETURNING m.app_id, m.record_type
    ), counted AS (
        INSERT INTO record_counts AS c (app_id, owner, record_type, is_deleted, shard, records)
        SELECT gone.app_id, whose.owner, gone.record_type, change.is_deleted, whose.shard, change.sign * count(*)
          FROM gone, (VALUES (0::bigint, p_owner % 32), (p_owner, 0)) AS whose(owner, shard),
               (VALUES (false, -1), (true, 1)) AS change(is_deleted, sign)
         GROUP BY 1, 2, 3, 4, 5, change.sign
         ORDER BY 1, 2, 3, 4, 5
        ON CONFLICT (app_id, owner, record_type, is_deleted, shard) DO UPDATE SET records = c.records + EXCLUDED.records
    )
    SELECT count(*) INTO v_deleted FROM gone;
    RETURN v_deleted;
END $$;
