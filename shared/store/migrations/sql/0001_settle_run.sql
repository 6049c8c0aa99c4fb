-- End a run, all or nothing, in one round trip: compare-and-set its state, settle the ledger, write the message.
-- False, and nothing written, where the run is no longer in p_from with p_attempt: another attempt has it, or it ended.
--
-- p_prompt_tokens and p_completion_tokens: what was used; both 0 means that nothing was made, and the reserve comes
-- back whole. p_context_tokens: what it costs to show this turn to a model again.
CREATE FUNCTION settle_run(
    p_run uuid, p_attempt integer, p_from text, p_state text,
    p_answer text, p_error_code text, p_error text, p_usage jsonb, p_context_tokens integer,
    p_provider text, p_model text, p_prompt_tokens integer, p_completion_tokens integer,
    p_price numeric, p_currency text, p_estimated boolean
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_run runs%ROWTYPE;
    v_used integer := p_prompt_tokens + p_completion_tokens;
    v_amount bigint;
    v_paid bigint;
    v_available bigint;
BEGIN
    UPDATE runs SET state = p_state, finished_at = now()
     WHERE id = p_run AND attempt = p_attempt AND state = p_from
    RETURNING * INTO v_run;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    v_amount := v_run.reserved - v_used;
    IF v_run.quota THEN
        -- avail_token never goes below 0: what is beyond it is an overrun.
        SELECT avail_token INTO v_available FROM users WHERE id = v_run.owner FOR UPDATE;
        v_paid := greatest(v_amount, -v_available);
        UPDATE users SET avail_token = v_available + v_paid, updated_at = now() WHERE id = v_run.owner;
    ELSE
        v_paid := 0;
        v_amount := 0;
    END IF;
    IF v_used > 0 OR v_run.quota THEN
        INSERT INTO ledger (owner, kind, amount, run_id, provider, model, prompt_tokens, completion_tokens, tokens,
                            price, currency, estimated)
        VALUES (v_run.owner, CASE WHEN v_used = 0 THEN 'refund' ELSE 'settle' END, v_paid, p_run, p_provider, p_model,
                p_prompt_tokens, p_completion_tokens, v_used, p_price, p_currency, p_estimated);
    END IF;
    IF v_amount < v_paid THEN
        INSERT INTO ledger (owner, kind, amount, run_id, provider, model, tokens)
        VALUES (v_run.owner, 'overrun', 0, p_run, p_provider, p_model, v_paid - v_amount);
    END IF;

    UPDATE messages SET answer = p_answer, state = p_state, error_code = p_error_code, error = p_error,
                        usage = p_usage, tokens = v_used, context_tokens = p_context_tokens, updated_at = now()
     WHERE id = v_run.message_id;
    UPDATE conversations SET updated_at = now() WHERE id = v_run.conversation_id;
    RETURN true;
END $$;
