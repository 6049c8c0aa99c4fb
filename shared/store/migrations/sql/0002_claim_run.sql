-- The runs that have not ended. (By their state, the planner would rather walk through all of them than look one up by
-- its id, wherever a statement says that the run must still be queued or running.)
DROP INDEX runs_open;
CREATE INDEX runs_open ON runs (queued_at) WHERE finished_at IS NULL;

-- A run as a worker needs it: see shared.store.runs.claim.ClaimedRun. One row of NULLs where there is no such run.
--
-- turns: the conversation's earlier turns that say something, as [query, answer, tokens], oldest first; as many, and as
-- old in seconds, as the job wants (history_turns, history_seconds).
CREATE FUNCTION load_run(
    p_run uuid,
    OUT id uuid, OUT attempt integer, OUT message uuid, OUT conversation uuid, OUT job jsonb, OUT reserved bigint,
    OUT turns jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_turns integer;
    v_since timestamptz;
BEGIN
    SELECT r.id, r.attempt, r.message_id, r.conversation_id, r.job, CASE WHEN r.quota THEN r.reserved END
      INTO id, attempt, message, conversation, job, reserved
      FROM runs r WHERE r.id = p_run;
    v_turns := coalesce((job ->> 'history_turns')::integer, 0);
    v_since := coalesce(now() - make_interval(secs => (job ->> 'history_seconds')::integer), '-infinity');
    SELECT coalesce(jsonb_agg(jsonb_build_array(t.query, t.answer, t.context_tokens) ORDER BY t.created_at, t.id), '[]')
      INTO turns
      FROM (SELECT m.id, m.created_at, m.query, m.answer, m.context_tokens FROM messages m
             WHERE m.conversation_id = conversation AND m.id <> message AND m.context_tokens > 0
               AND m.created_at > v_since
             ORDER BY m.created_at DESC, m.id DESC LIMIT v_turns) t;
END $$;

-- Take a queued run and load it; one row of NULLs where it is another worker's, or has ended.
--
-- p: run, and claim, which is made up by the worker: with the same one it may ask again when the answer was lost.
CREATE FUNCTION claim_run(
    p jsonb,
    OUT id uuid, OUT attempt integer, OUT message uuid, OUT conversation uuid, OUT job jsonb, OUT reserved bigint,
    OUT turns jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    v_run uuid := p ->> 'run';
    v_claim uuid := p ->> 'claim';
BEGIN
    UPDATE runs r
       SET state = 'running', claim = v_claim, started_at = now(),
           attempt = r.attempt + CASE WHEN r.state = 'queued' THEN 1 ELSE 0 END
     WHERE r.id = v_run AND (r.state = 'queued' OR (r.state = 'running' AND r.claim = v_claim));
    IF FOUND THEN
        SELECT * INTO id, attempt, message, conversation, job, reserved, turns FROM load_run(v_run);
    END IF;
END $$;
