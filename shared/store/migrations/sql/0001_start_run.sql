-- Begin a run, all or nothing, in one round trip: find or make the user and the conversation, reserve tokens, insert
-- message, run, ledger row and idempotency key. Nothing but the user's row is written unless the outcome is 'started'.
--
-- outcome: started; joined (the idempotency key's run, nothing new); key_conflict (the key was used with another body);
-- conversation_not_found; quota_exceeded.
-- p_conversation NULL: the user's current one where p_surface is 'muse' (or the first), else a new one.
-- p_bound: the most that the call may cost without the earlier turns, tokens. p_turns, p_seconds, p_context: how many
-- earlier turns the model may be shown, how old (NULL: any age), and how many tokens of them.
CREATE FUNCTION start_run(
    p_app uuid, p_user text, p_grant bigint, p_quota boolean, p_surface text,
    p_conversation uuid, p_new_conversation uuid, p_name text, p_inputs jsonb,
    p_message uuid, p_record_type text, p_query text,
    p_run uuid, p_kind text, p_queue text, p_job jsonb,
    p_bound bigint, p_turns integer, p_seconds integer, p_context bigint,
    p_key text, p_body bytea,
    OUT outcome text, OUT run uuid, OUT message uuid, OUT conversation uuid, OUT created timestamptz,
    OUT granted bigint, OUT available bigint
) LANGUAGE plpgsql AS $$
DECLARE
    v_user bigint;
    v_body bytea;
    v_history bigint;
    v_reserve bigint := 0;
BEGIN
    SELECT u.id, u.token, u.avail_token, CASE WHEN p_surface = 'muse' THEN u.current_conversation END
      INTO v_user, granted, available, conversation
      FROM users u WHERE u.app_id = p_app AND u.user_id = p_user;
    IF NOT FOUND THEN
        SELECT g.id, g.token, g.avail_token INTO v_user, granted, available
          FROM see_user(p_app, p_user, p_grant) g;
    END IF;

    IF p_key IS NOT NULL THEN
        SELECT k.run_id, k.body, r.message_id, r.conversation_id, m.created_at
          INTO run, v_body, message, conversation, created
          FROM idempotency_keys k JOIN runs r ON r.id = k.run_id JOIN messages m ON m.id = r.message_id
         WHERE k.app_id = p_app AND k.user_id = p_user AND k.key = p_key AND k.created_at > now() - interval '24 hours';
        IF FOUND THEN
            outcome := CASE WHEN v_body = p_body THEN 'joined' ELSE 'key_conflict' END;
            RETURN;
        END IF;
    END IF;

    IF p_conversation IS NOT NULL THEN
        conversation := p_conversation;
    END IF;
    IF conversation IS NOT NULL THEN
        PERFORM 1 FROM conversations c
          WHERE c.id = conversation AND c.app_id = p_app AND c.owner = v_user AND c.deleted_at IS NULL;
        IF NOT FOUND THEN
            IF p_conversation IS NOT NULL THEN
                outcome := 'conversation_not_found';
                RETURN;
            END IF;
            conversation := NULL;
        END IF;
    END IF;

    IF p_quota THEN
        SELECT coalesce(sum(t.context_tokens), 0) INTO v_history FROM (
            SELECT m.context_tokens FROM messages m
             WHERE m.conversation_id = conversation AND m.context_tokens > 0
               AND (p_seconds IS NULL OR m.created_at > now() - make_interval(secs => p_seconds))
             ORDER BY m.created_at DESC, m.id DESC LIMIT p_turns) t;
        v_reserve := p_bound + least(v_history, p_context);
        SELECT u.token, u.avail_token INTO granted, available FROM users u WHERE u.id = v_user FOR UPDATE;
        IF available <= 0 THEN
            outcome := 'quota_exceeded';
            RETURN;
        END IF;
        v_reserve := least(available, v_reserve);
        available := available - v_reserve;
        UPDATE users SET avail_token = available, updated_at = now() WHERE id = v_user;
    END IF;

    IF conversation IS NULL THEN
        conversation := p_new_conversation;
        INSERT INTO conversations (id, app_id, owner, surface, name, inputs)
        VALUES (conversation, p_app, v_user, p_surface, p_name, p_inputs);
        IF p_surface = 'muse' THEN
            UPDATE users SET current_conversation = conversation WHERE id = v_user;
        END IF;
    ELSE
        UPDATE conversations SET updated_at = now() WHERE id = conversation;
    END IF;
    created := now();
    run := p_run;
    message := p_message;
    INSERT INTO messages (id, conversation_id, app_id, owner, record_type, query, state)
    VALUES (message, conversation, p_app, v_user, p_record_type, p_query, 'queued');
    INSERT INTO runs (id, kind, queue, state, app_id, owner, conversation_id, message_id, job, quota, reserved)
    VALUES (run, p_kind, p_queue, 'queued', p_app, v_user, conversation, message, p_job, p_quota, v_reserve);
    IF p_quota THEN
        INSERT INTO ledger (owner, kind, amount, run_id) VALUES (v_user, 'reserve', -v_reserve, run);
    END IF;
    IF p_key IS NOT NULL THEN
        DELETE FROM idempotency_keys k
         WHERE k.app_id = p_app AND k.user_id = p_user AND k.key = p_key AND k.created_at <= now() - interval '24 hours';
        INSERT INTO idempotency_keys (app_id, user_id, key, body, run_id) VALUES (p_app, p_user, p_key, p_body, run);
    END IF;
    outcome := 'started';
END $$;

-- The user of that name, made with its grant at first sight.
CREATE FUNCTION see_user(p_app uuid, p_user text, p_grant bigint, OUT id bigint, OUT token bigint, OUT avail_token bigint)
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO users AS u (app_id, user_id, token, avail_token) VALUES (p_app, p_user, p_grant, p_grant)
    ON CONFLICT (app_id, user_id) DO NOTHING
    RETURNING u.id, u.token, u.avail_token INTO id, token, avail_token;
    IF FOUND THEN
        IF p_grant > 0 THEN
            INSERT INTO ledger (owner, kind, amount, note) VALUES (id, 'grant', p_grant, 'first sight');
        END IF;
    ELSE
        SELECT u.id, u.token, u.avail_token INTO id, token, avail_token
          FROM users u WHERE u.app_id = p_app AND u.user_id = p_user;
    END IF;
END $$;
