-- A roll-out by owner: for whom another generation answers than the collection's live one; and the queries by which two
-- generations are compared.

-- No row means: the live one. Like collection_owner it holds names of owners and nothing else of theirs.
CREATE TABLE seemory.rollout (
    owner_id      text NOT NULL CHECK (owner_id <> ''),
    collection_id bigint NOT NULL REFERENCES seemory.collection (id),
    channel       text NOT NULL CHECK (channel IN ('visual', 'text')),
    generation_id bigint NOT NULL REFERENCES seemory.generation (id), -- which therefore cannot be deleted meanwhile
    PRIMARY KEY (owner_id, collection_id, channel)
);

ALTER TABLE seemory.rollout ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.rollout FORCE ROW LEVEL SECURITY;

-- An owner reads its own row; an operator's transaction reads and writes all.
CREATE POLICY owner ON seemory.rollout FOR SELECT
    USING (owner_id = current_setting('seemory.owner', true));
CREATE POLICY operator ON seemory.rollout
    USING (current_setting('seemory.operator', true) = 'on')
    WITH CHECK (current_setting('seemory.operator', true) = 'on');

-- What people ask is nobody else's to read: these are seen by operators only.
CREATE TABLE seemory.saved_query (
    collection_id bigint NOT NULL REFERENCES seemory.collection (id),
    place         integer NOT NULL,
    words         text NOT NULL CHECK (words <> ''),
    PRIMARY KEY (collection_id, place)
);

ALTER TABLE seemory.saved_query ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.saved_query FORCE ROW LEVEL SECURITY;
CREATE POLICY operator ON seemory.saved_query
    USING (current_setting('seemory.operator', true) = 'on')
    WITH CHECK (current_setting('seemory.operator', true) = 'on');

-- The functions for psql ask the generation that answers for the owner they are asked about.
DROP FUNCTION seemory.live_visual_table(halfvec, text);

CREATE FUNCTION seemory.live_visual_table(query_embedding halfvec, in_collection text, for_owner text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
AS $function$
DECLARE
    live record;
BEGIN
    SELECT g.table_name, g.dim, g.model INTO live
    FROM seemory.collection c
    JOIN seemory.generation g ON g.collection_id = c.id
    LEFT JOIN seemory.rollout r ON r.owner_id = for_owner AND r.collection_id = c.id AND r.channel = g.channel
    WHERE c.name = in_collection AND g.channel = 'visual' AND coalesce(g.id = r.generation_id, g.state = 'live');
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

CREATE OR REPLACE FUNCTION seemory.search_scenes_by_visual_clip_embedding(
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
    vectors := seemory.live_visual_table(query_embedding, in_collection, filter_user_id);
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

CREATE OR REPLACE FUNCTION seemory.batch_score_scenes_clip(
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
        seemory.live_visual_table(query_embedding, in_collection, filter_user_id))
    USING query_embedding, filter_user_id, scene_ids;
END
$function$;
