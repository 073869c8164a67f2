-- Searching and scoring for people in psql. They see what the caller may see: nothing here is SECURITY DEFINER.
--
-- A `vector` is accepted wherever a `halfvec` is, by pgvector's implicit cast.

-- The one table that a query of a collection may be compared with.
CREATE FUNCTION seemory.live_visual_table(query_embedding halfvec, in_collection text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $function$
DECLARE
    live record;
BEGIN
    SELECT g.table_name, g.dim, g.model INTO live
    FROM seemory.generation g JOIN seemory.collection c ON c.id = g.collection_id
    WHERE c.name = in_collection AND g.channel = 'visual' AND g.state = 'live';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'collection % has no vectors', coalesce(quote_literal(in_collection), 'NULL')
            USING ERRCODE = 'undefined_object';
    END IF;
    IF vector_dims(query_embedding) <> live.dim THEN
        RAISE EXCEPTION 'collection % holds vectors of % dimensions, made by %, and the query has %',
            quote_literal(in_collection), live.dim, live.model, vector_dims(query_embedding)
            USING ERRCODE = 'data_exception';
    END IF;
    IF l2_norm(query_embedding) = 0 THEN
        RAISE EXCEPTION 'a query vector must have a direction: this one is zero' USING ERRCODE = 'data_exception';
    END IF;
    RETURN live.table_name;
END
$function$;

-- The first rows of the HNSW index's answer, in order; it may come back short, which the caller looks at.
-- Postgres's own settings end with the function. pgvector's are put back by hand, and not by a SET clause: an ordinary role
-- may write such a clause only after pgvector was loaded, and whoever restores a dump did not load it.
CREATE FUNCTION seemory.nearest_by_index(
    query_embedding halfvec, table_name text, filter_user_id text, wanted integer,
    OUT ids uuid[], OUT distances double precision[])
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
SET enable_sort = off
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $function$
DECLARE
    scan   constant text := current_setting('hnsw.iterative_scan');
    ef     constant text := current_setting('hnsw.ef_search');
    tuples constant text := current_setting('hnsw.max_scan_tuples');
    memory constant text := current_setting('hnsw.scan_mem_multiplier');
BEGIN
    PERFORM set_config('hnsw.iterative_scan', 'strict_order', true),
            set_config('hnsw.ef_search', greatest(64, wanted)::text, true),
            set_config('hnsw.max_scan_tuples', '100000', true),
            set_config('hnsw.scan_mem_multiplier', '8', true);
    EXECUTE format($query$
        WITH near AS MATERIALIZED (
            SELECT v.item_id, v.embedding <=> $1 AS distance
            FROM seemory.%I v
            JOIN seemory.item i ON i.owner_id = v.owner_id AND i.id = v.item_id
            JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
            WHERE v.owner_id = $2 AND v.embedding IS NOT NULL AND a.missing_at IS NULL AND i.kind IN ('scene', 'image')
            ORDER BY v.embedding <=> $1 LIMIT $3)
        SELECT array_agg(item_id ORDER BY distance + 0, item_id), array_agg(distance ORDER BY distance + 0, item_id)
        FROM near $query$, table_name)
    INTO ids, distances USING query_embedding, filter_user_id, wanted;
    PERFORM set_config('hnsw.iterative_scan', scan, true), set_config('hnsw.ef_search', ef, true),
            set_config('hnsw.max_scan_tuples', tuples, true), set_config('hnsw.scan_mem_multiplier', memory, true);
END
$function$;

CREATE FUNCTION seemory.search_scenes_by_visual_clip_embedding(
    query_embedding halfvec,
    match_threshold double precision,
    match_count     integer,
    filter_video_id uuid DEFAULT NULL,
    filter_user_id  text DEFAULT NULL,
    in_collection   text DEFAULT 'default')
RETURNS TABLE (
    scene_id uuid, video_id uuid, kind text, uri text,
    start_s double precision, end_s double precision, similarity double precision)
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $function$
DECLARE
    exact_rows constant integer := 5000;  -- up to so many all are compared
    ties       constant integer := 16;    -- fetched beyond the last wanted row, so that a tie there is seen
    vectors    text;
    many       boolean := false;
    ids        uuid[];
    distances  double precision[];
BEGIN
    IF filter_user_id IS NULL OR query_embedding IS NULL OR match_count IS NULL OR match_threshold IS NULL
       OR match_count <= 0 THEN
        RETURN;
    END IF;
    vectors := seemory.live_visual_table(query_embedding, in_collection);
    IF filter_video_id IS NULL AND match_count <= 1000 - ties THEN
        EXECUTE format('SELECT count(*) > $2 FROM (SELECT FROM seemory.%I WHERE owner_id = $1 LIMIT $2 + 1) AS counted',
                       vectors)
        INTO many USING filter_user_id, exact_rows;
    END IF;
    IF many THEN
        SELECT found.ids, found.distances INTO ids, distances
        FROM seemory.nearest_by_index(query_embedding, vectors, filter_user_id, match_count + ties) AS found;
        -- Fewer than asked for: the scan gave up. A tie that reaches the end: which of its rows came is chance.
        many := coalesce(cardinality(ids), 0) = match_count + ties AND distances[match_count] < distances[match_count + ties];
    END IF;
    IF NOT many THEN
        EXECUTE format($query$
            SELECT array_agg(item_id ORDER BY distance, item_id), array_agg(distance ORDER BY distance, item_id)
            FROM (SELECT v.item_id, (v.embedding <=> $1) + 0 AS distance
                  FROM seemory.%I v
                  JOIN seemory.item i ON i.owner_id = v.owner_id AND i.id = v.item_id
                  JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
                  WHERE v.owner_id = $2 AND v.embedding IS NOT NULL AND a.missing_at IS NULL
                    AND i.kind IN ('scene', 'image') AND ($4 IS NULL OR i.asset_id = $4)
                  ORDER BY distance, v.item_id LIMIT $3) AS near $query$, vectors)
        INTO ids, distances USING query_embedding, filter_user_id, match_count, filter_video_id;
    END IF;
    RETURN QUERY
        SELECT i.id, i.asset_id, i.kind, a.uri, i.start_s, i.end_s, 1 - near.distance
        FROM unnest(ids[:match_count], distances[:match_count]) WITH ORDINALITY AS near (item_id, distance, place)
        JOIN seemory.item i ON i.owner_id = filter_user_id AND i.id = near.item_id
        JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
        WHERE 1 - near.distance > match_threshold
        ORDER BY near.place;
END
$function$;

CREATE FUNCTION seemory.batch_score_scenes_clip(
    query_embedding halfvec,
    scene_ids       uuid[],
    filter_user_id  text DEFAULT NULL,
    in_collection   text DEFAULT 'default')
RETURNS TABLE (scene_id uuid, similarity double precision)
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $function$
BEGIN
    IF filter_user_id IS NULL OR query_embedding IS NULL OR scene_ids IS NULL THEN
        RETURN;
    END IF;
    -- The + 0 hides the distance from the index: every row that was asked for is scored.
    RETURN QUERY EXECUTE format($query$
        SELECT v.item_id, 1 - ((v.embedding <=> $1) + 0)
        FROM seemory.%I v
        JOIN seemory.item i ON i.owner_id = v.owner_id AND i.id = v.item_id
        JOIN seemory.asset a ON a.owner_id = i.owner_id AND a.id = i.asset_id
        WHERE v.owner_id = $2 AND v.item_id = ANY ($3) AND v.embedding IS NOT NULL AND a.missing_at IS NULL
          AND i.kind IN ('scene', 'image')
        ORDER BY (v.embedding <=> $1) + 0, v.item_id $query$,
        seemory.live_visual_table(query_embedding, in_collection))
    USING query_embedding, filter_user_id, scene_ids;
END
$function$;

COMMENT ON FUNCTION seemory.search_scenes_by_visual_clip_embedding IS
    'Scenes and images of one owner nearest to a vector: cosine similarity above a threshold, best first.';
COMMENT ON FUNCTION seemory.batch_score_scenes_clip IS
    'Cosine similarity of a vector to each of the given scenes or images of one owner, best first.';
