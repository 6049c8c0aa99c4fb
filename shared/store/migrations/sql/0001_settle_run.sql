-- End a run, all or nothing, in one round trip: compare-and-set its state, settle the ledger, write the message.
--
-- p: the fields of shared.store.runs.RunEnd and Made, with the run's id, the attempt that ends it, and the state `since`
-- that the run must still be in.
-- settled; already (this attempt has ended the run before: its answer was lost on the way); overtaken (the run is another
-- attempt's, or was ended by somebody else): nothing is written then.
CREATE FUNCTION settle_run(p jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    e record;
    v_run runs%ROWTYPE;
    v_used bigint;
    v_amount bigint;
    v_paid bigint := 0;
    v_available bigint;
BEGIN
    SELECT * INTO e FROM jsonb_to_record(p) AS fields(
        run uuid, attempt integer, since text, settlement uuid, state text, error_code text, error text,
        answer text, usage jsonb, context_tokens bigint, provider text, model text,
        prompt_tokens bigint, completion_tokens bigint, price numeric, currency text, estimated boolean);
    v_used := e.prompt_tokens + e.completion_tokens;

    UPDATE runs SET state = e.state, settlement = e.settlement, finished_at = now()
     WHERE id = e.run AND attempt = e.attempt AND state = e.since
    RETURNING * INTO v_run;
    IF NOT FOUND THEN
        PERFORM 1 FROM runs WHERE id = e.run AND settlement = e.settlement;
        RETURN CASE WHEN FOUND THEN 'already' ELSE 'overtaken' END;
    END IF;

    IF v_run.quota THEN
        -- avail_token never goes below 0: what is beyond it is an overrun.
        SELECT avail_token INTO v_available FROM users WHERE id = v_run.owner FOR NO KEY UPDATE;
        v_amount := v_run.reserved - v_used;
        v_paid := greatest(v_amount, -v_available);
        UPDATE users SET avail_token = v_available + v_paid, updated_at = now() WHERE id = v_run.owner;
    END IF;
    IF v_used > 0 OR v_run.quota THEN
        INSERT INTO ledger (owner, kind, amount, run_id, provider, model, prompt_tokens, completion_tokens, tokens,
                            price, currency, estimated)
        VALUES (v_run.owner, CASE WHEN v_used = 0 THEN 'refund' ELSE 'settle' END, v_paid, e.run, e.provider, e.model,
                e.prompt_tokens, e.completion_tokens, v_used, e.price, e.currency, e.estimated);
    END IF;
    IF v_amount < v_paid THEN
        INSERT INTO ledger (owner, kind, amount, run_id, provider, model, tokens)
        VALUES (v_run.owner, 'overrun', 0, e.run, e.provider, e.model, v_paid - v_amount);
    END IF;

    UPDATE messages SET answer = e.answer, state = e.state, error_code = e.error_code, error = e.error,
                        usage = e.usage, tokens = v_used, context_tokens = e.context_tokens, updated_at = now()
     WHERE id = v_run.message_id;
    UPDATE conversations SET updated_at = now() WHERE id = v_run.conversation_id;
    RETURN 'settled';
END $$;
