-- Pages of long lists, as JSON text that the gateway passes on. A page is found along an index alone and its rows are
-- read last; totals come from the counts. The plans are made once for a connection: making them anew would cost more
-- than the page.

-- Records, the newest first. p: app uuid, user_id text (null: everybody's), types text[], deleted boolean (null: all),
-- skip bigint, take integer.
--
-- Each kind of records that there is (a type, deleted or not) is read along the index by itself, and what they give is
-- merged. In the braces stand a SELECT for each of as many kinds as there may be, one that has no rows where there are
-- fewer.
CREATE FUNCTION list_records(p jsonb, OUT list text, OUT total bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    n record;
    v_owner bigint := 0;
    v_types text[];
    v_deleted boolean[];
    v_page bigint[];
    v_page_types text[];
    v_page_deleted boolean[];
BEGIN
    SELECT * INTO n FROM jsonb_to_record(p) AS fields(
        app uuid, user_id text, types text[], deleted boolean, skip bigint, take integer);
    list := '[]';
    total := 0;
    IF n.user_id IS NOT NULL THEN
        SELECT u.id INTO v_owner FROM users u WHERE u.app_id = n.app AND u.user_id = n.user_id;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;

    SELECT coalesce(sum(kind.records), 0), array_agg(kind.record_type), array_agg(kind.is_deleted)
      INTO total, v_types, v_deleted
      FROM (SELECT c.record_type, c.is_deleted, sum(c.records) AS records FROM record_counts c
             WHERE c.app_id = n.app AND c.owner = v_owner AND c.record_type = ANY (n.types)
               AND (n.deleted IS NULL OR c.is_deleted = n.deleted)
             GROUP BY 1, 2) kind
     WHERE kind.records > 0;
    IF n.skip >= total THEN
        RETURN;
    END IF;
    IF cardinality(v_types) > {kinds} THEN
        RAISE 'list_records knows {kinds} kinds of records, there are %', cardinality(v_types);
    END IF;

    IF v_owner = 0 THEN
        SELECT array_agg(number), array_agg(record_type), array_agg(is_deleted)
          INTO v_page, v_page_types, v_page_deleted
          FROM (SELECT * FROM (
                {of_app}
                ) AS merged ORDER BY number DESC OFFSET n.skip LIMIT n.take) AS page;
    ELSE
        SELECT array_agg(number), array_agg(record_type), array_agg(is_deleted)
          INTO v_page, v_page_types, v_page_deleted
          FROM (SELECT * FROM (
                {of_owner}
                ) AS merged ORDER BY number DESC OFFSET n.skip LIMIT n.take) AS page;
    END IF;

    SELECT coalesce(json_agg(json_build_object(
               'id', m.number, 'user_id', u.user_id, 'question', m.query, 'answer', m.answer, 'content', '',
               'token', m.tokens, 'is_deleted', m.is_deleted::integer,
               'create_time', floor(extract(epoch FROM m.created_at))::bigint,
               'record_type', array_position({types}, m.record_type) - 1) ORDER BY m.number DESC), '[]')
      INTO list
      FROM unnest(v_page, v_page_types, v_page_deleted) AS page(number, record_type, is_deleted)
      JOIN messages m ON m.app_id = n.app AND m.record_type = page.record_type AND m.is_deleted = page.is_deleted
                     AND m.number = page.number
      JOIN users u ON u.id = m.owner;
END $$;

-- Users, the newest first. p: app uuid, user_id text (null: all), skip bigint, take integer, mode text, modes text[].
-- A user's mode is shown where it is one of `modes` (null: any is), else `mode`.
CREATE FUNCTION list_users(p jsonb, OUT list text, OUT total bigint)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    n record;
    v_page bigint[];
BEGIN
    SELECT * INTO n FROM jsonb_to_record(p) AS fields(
        app uuid, user_id text, skip bigint, take integer, mode text, modes text[]);
    IF n.user_id IS NULL THEN
        SELECT coalesce(sum(c.users), 0) INTO total FROM user_counts c WHERE c.app_id = n.app;
        IF n.skip < total THEN
            v_page := ARRAY(SELECT u.id FROM users u WHERE u.app_id = n.app ORDER BY u.id DESC OFFSET n.skip LIMIT n.take);
        END IF;
    ELSE
        v_page := ARRAY(SELECT u.id FROM users u WHERE u.app_id = n.app AND u.user_id = n.user_id);
        total := cardinality(v_page);
        IF n.skip > 0 THEN
            v_page := NULL;
        END IF;
    END IF;
    SELECT coalesce(json_agg(json_build_object(
               'id', u.id, 'user_id', u.user_id,
               'mode', CASE WHEN u.mode <> '' AND (n.modes IS NULL OR u.mode = ANY (n.modes)) THEN u.mode ELSE n.mode END,
               'token', u.token, 'updatetime', floor(extract(epoch FROM u.updated_at))::bigint,
               'avail_token', u.avail_token) ORDER BY u.id DESC), '[]')
      INTO list
      FROM unnest(v_page) AS page(id) JOIN users u ON u.id = page.id;
END $$;
