-- The runs that have not ended, by user: a user's are counted when another one begins.
DROP INDEX runs_open;
CREATE INDEX runs_open ON runs (owner) WHERE finished_at IS NULL;

-- Begin a run, all or nothing, in one round trip: find or make the user and the conversation, reserve tokens, insert
-- message, run, ledger row and idempotency key. Nothing but the user's row is written unless the outcome is 'started'.
--
-- p: the fields of shared.store.runs.NewRun. The message `replaces`, if any, is marked as deleted.
-- outcome: started; joined (the idempotency key's run, nothing new); key_conflict (the key was used with another body);
-- conversation_not_found; too_many (`parallel` runs of the user are open, counted under a lock on the user's row; runs
-- that cost nothing don't count); quota_exceeded; not_replaced (the message to be replaced is still answered, or was
-- deleted).
CREATE OR REPLACE FUNCTION start_run(
    p jsonb,
    OUT outcome text, OUT run uuid, OUT message uuid, OUT conversation uuid, OUT created timestamptz,
    OUT granted bigint, OUT available bigint
) LANGUAGE plpgsql AS $$
DECLARE
    n record;
    v_user bigint;
    v_body text;
    v_history bigint;
    v_reserve bigint := 0;
BEGIN
    SELECT * INTO n FROM jsonb_to_record(p) AS fields(
        app uuid, user_id text, first_grant bigint, quota boolean, surface text,
        conversation uuid, new_conversation uuid, name text, inputs jsonb,
        message uuid, record_type text, query text, run uuid, kind text, queue text, job jsonb,
        bound bigint, turns integer, seconds integer, context bigint, idempotency_key text, body_sha256 text,
        parallel integer, replaces uuid);

    SELECT u.id, u.token, u.avail_token, CASE WHEN n.surface = 'muse' THEN u.current_conversation END
      INTO v_user, granted, available, conversation
      FROM users u WHERE u.app_id = n.app AND u.user_id = n.user_id;
    IF NOT FOUND THEN
        SELECT g.id, g.token, g.avail_token INTO v_user, granted, available
          FROM see_user(n.app, n.user_id, n.first_grant) g;
    END IF;

    IF n.idempotency_key IS NOT NULL THEN
        SELECT k.run_id, k.body_sha256, r.message_id, r.conversation_id, m.created_at
          INTO run, v_body, message, conversation, created
          FROM idempotency_keys k JOIN runs r ON r.id = k.run_id JOIN messages m ON m.id = r.message_id
         WHERE k.app_id = n.app AND k.user_id = n.user_id AND k.key = n.idempotency_key
           AND k.created_at > now() - interval '24 hours';
        IF FOUND THEN
            outcome := CASE WHEN v_body = n.body_sha256 THEN 'joined' ELSE 'key_conflict' END;
            RETURN;
        END IF;
    END IF;

    conversation := coalesce(n.conversation, conversation);
    IF conversation IS NOT NULL THEN
        PERFORM 1 FROM conversations c
          WHERE c.id = conversation AND c.app_id = n.app AND c.owner = v_user AND c.deleted_at IS NULL;
        IF NOT FOUND AND n.conversation IS NOT NULL THEN
            outcome := 'conversation_not_found';
            RETURN;
        ELSIF NOT FOUND THEN
            conversation := NULL;
        END IF;
    END IF;

    IF n.quota OR n.parallel > 0 THEN
        SELECT u.token, u.avail_token INTO granted, available FROM users u WHERE u.id = v_user FOR NO KEY UPDATE;
    END IF;
    IF n.parallel > 0 THEN
        PERFORM 1 FROM runs r WHERE r.owner = v_user AND r.finished_at IS NULL AND r.kind <> 'balance'
         OFFSET n.parallel - 1 LIMIT 1;
        IF FOUND THEN
            outcome := 'too_many';
            RETURN;
        END IF;
    END IF;
    IF n.quota THEN
        SELECT coalesce(sum(t.context_tokens), 0) INTO v_history FROM (
            SELECT m.context_tokens FROM messages m
             WHERE m.conversation_id = conversation AND m.context_tokens > 0 AND NOT m.is_deleted
               AND m.id IS DISTINCT FROM n.replaces
               AND (n.seconds IS NULL OR m.created_at > now() - make_interval(secs => n.seconds))
             ORDER BY m.created_at DESC, m.id DESC LIMIT n.turns) t;
        v_reserve := n.bound + least(v_history, n.context);
        IF available <= 0 THEN
            outcome := 'quota_exceeded';
            RETURN;
        END IF;
    END IF;
    IF n.replaces IS NOT NULL THEN
        PERFORM 1 FROM runs r WHERE r.message_id = n.replaces AND r.finished_at IS NULL;
        IF FOUND OR delete_records(v_user, NULL, NULL, n.replaces) = 0 THEN
            outcome := 'not_replaced';
            RETURN;
        END IF;
    END IF;

    IF n.quota THEN
        v_reserve := least(available, v_reserve);
        available := available - v_reserve;
        UPDATE users SET avail_token = available, updated_at = now() WHERE id = v_user;
    END IF;
    IF conversation IS NULL THEN
        conversation := n.new_conversation;
        INSERT INTO conversations (id, app_id, owner, surface, name, inputs)
        VALUES (conversation, n.app, v_user, n.surface, n.name, n.inputs);
        IF n.surface = 'muse' THEN
            UPDATE users SET current_conversation = conversation WHERE id = v_user;
        END IF;
    ELSE
        UPDATE conversations SET updated_at = now() WHERE id = conversation;
    END IF;
    created := now();
    run := n.run;
    message := n.message;
    INSERT INTO messages (id, conversation_id, app_id, owner, record_type, query, state)
    VALUES (message, conversation, n.app, v_user, n.record_type, n.query, 'queued');
    INSERT INTO runs (id, kind, queue, state, app_id, owner, conversation_id, message_id, job, quota, reserved)
    VALUES (run, n.kind, n.queue, 'queued', n.app, v_user, conversation, message, n.job, n.quota, v_reserve);
    IF n.quota THEN
        INSERT INTO ledger (owner, kind, amount, run_id) VALUES (v_user, 'reserve', -v_reserve, run);
    END IF;
    IF n.idempotency_key IS NOT NULL THEN
        DELETE FROM idempotency_keys k
         WHERE k.app_id = n.app AND k.user_id = n.user_id AND k.key = n.idempotency_key
           AND k.created_at <= now() - interval '24 hours';
        INSERT INTO idempotency_keys (app_id, user_id, key, body_sha256, run_id)
        VALUES (n.app, n.user_id, n.idempotency_key, n.body_sha256, run);
    END IF;
    outcome := 'started';
END $$;


-- A run as a worker needs it: see shared.store.runs.claim.ClaimedRun. One row of NULLs where there is no such run.
--
-- turns: the conversation's earlier turns that say something, as [query, answer, tokens], oldest first; as many, and as
-- old in seconds, as the job wants (history_turns, history_seconds).
CREATE OR REPLACE FUNCTION load_run(
    p_run uuid,
    OUT id uuid, OUT attempt integer, OUT message uuid, OUT conversation uuid, OUT job jsonb, OUT reserved bigint,
    OUT turns jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_turns integer;
    v_since timestamptz;
    v_asked timestamptz;
BEGIN
    SELECT r.id, r.attempt, r.message_id, r.conversation_id, r.job, CASE WHEN r.quota THEN r.reserved END, q.created_at
      INTO id, attempt, message, conversation, job, reserved, v_asked
      FROM runs r JOIN messages q ON q.id = r.message_id WHERE r.id = p_run;
    v_turns := coalesce((job ->> 'history_turns')::integer, 0);
    v_since := coalesce(now() - make_interval(secs => (job ->> 'history_seconds')::integer), '-infinity');
    SELECT coalesce(jsonb_agg(jsonb_build_array(t.query, t.answer, t.context_tokens) ORDER BY t.created_at, t.id), '[]')
      INTO turns
      FROM (SELECT m.id, m.created_at, m.query, m.answer, m.context_tokens FROM messages m
             WHERE m.conversation_id = conversation AND (m.created_at, m.id) < (v_asked, message) AND m.context_tokens > 0 AND NOT m.is_deleted
               AND m.created_at > v_since
             ORDER BY m.created_at DESC, m.id DESC LIMIT v_turns) t;
END $$;
