-- Words of items: what a person said of them, and what their files say. A document (tsvector) is made in one place:
--     seemory.joined(seemory.words_of(what a person said), seemory.words_of_file(what the file says))
-- by the statements that write items, and not by triggers, which tables distributed by owner do not have.
--
-- There is no GIN index over it. The operator @@ is not leakproof, so under forced row-level security Postgres may not
-- use an index for it; `vocabulary` says at once that a word occurs nowhere, and otherwise the owner's rows are read.

ALTER TABLE seemory.item ADD COLUMN notes text, ADD COLUMN language text;

COMMENT ON COLUMN seemory.item.language IS
    'text search configuration of caption, tags, notes and transcript; NULL where nobody said anything';

-- The items that somebody described.
CREATE INDEX item_described ON seemory.item (owner_id, collection_id, id) WHERE language IS NOT NULL;

-- Two documents one after the other, with a gap between them that no phrase reaches over.
CREATE FUNCTION seemory.joined(one tsvector, other tsvector) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ts_delete(one || $$'|':20$$::tsvector || other, '|');

-- A file's name without folder and ending, cut into words at punctuation, at digits, and where a small letter meets a
-- capital; a name that was cut there is kept whole as well.
CREATE FUNCTION seemory.name_words(uri text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT CASE WHEN parts = whole THEN whole ELSE whole || ' ' || parts END
    FROM (SELECT regexp_replace(
              regexp_replace(left(regexp_replace(uri, '^.*[/\\]', ''), 1000), '\.[A-Za-z0-9]{1,5}$', ''),
              '[\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e]+', ' ', 'g') AS whole) AS name,
         LATERAL (SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(whole,
              '([[:lower:]])([[:upper:]])', '\1 \2', 'g'),
              '([[:upper:]])([[:upper:]][[:lower:]])', '\1 \2', 'g'),
              '([[:alpha:]])([0-9])', '\1 \2', 'g'),
              '([0-9])([[:alpha:]])', '\1 \2', 'g') AS parts) AS cut);

-- What a person said. A tsvector holds a megabyte: texts are cut where even the worst of them still fits.
CREATE FUNCTION seemory.words_of(language text, caption text, tags text[], notes text, transcript text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN language IS NULL THEN ''::tsvector ELSE seemory.joined(seemory.joined(seemory.joined(
    setweight(to_tsvector(language::regconfig, left(coalesce(caption, ''), 8000)), 'A'),
    setweight(to_tsvector(language::regconfig, left(coalesce(array_to_string(tags, ' '), ''), 8000)), 'A')),
    setweight(to_tsvector(language::regconfig, left(coalesce(notes, ''), 24000)), 'B')),
    setweight(to_tsvector(language::regconfig, left(coalesce(transcript, ''), 60000)), 'C')) END;

-- What the file says: its caption and tags (EXIF, or columns of an import), and its name.
CREATE FUNCTION seemory.words_of_file(language text, uri text, metadata jsonb) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN seemory.joined(seemory.joined(
    setweight(to_tsvector(language::regconfig, left(
        CASE jsonb_typeof(metadata -> 'caption') WHEN 'string' THEN metadata ->> 'caption' ELSE '' END, 4000)), 'B'),
    setweight(to_tsvector(language::regconfig, left(
        CASE jsonb_typeof(metadata -> 'tags')
            WHEN 'string' THEN metadata ->> 'tags'
            WHEN 'array' THEN (SELECT coalesce(string_agg(tag, ' '), '')
                               FROM jsonb_array_elements_text(
                                   CASE jsonb_typeof(metadata -> 'tags') WHEN 'array' THEN metadata -> 'tags'
                                   ELSE '[]' END) AS tag)
            ELSE '' END, 4000)), 'B')),
    setweight(to_tsvector(language::regconfig, seemory.name_words(uri)), 'D'));

-- Which words occur in an owner's share of a collection: hashes, so that a forgotten item leaves nothing readable here.
-- Words are only ever added; one too many costs a search some time, and nothing else.
CREATE TABLE seemory.vocabulary (
    owner_id      text NOT NULL CHECK (owner_id <> ''),
    collection_id bigint NOT NULL REFERENCES seemory.collection (id),
    word          bigint NOT NULL,
    PRIMARY KEY (owner_id, collection_id, word)
);

-- The text search configurations that an owner's documents in a collection were made with.
ALTER TABLE seemory.collection_owner ADD COLUMN languages text[] NOT NULL DEFAULT '{}';

-- What an owner wants searches to weigh, where a request does not say: {"visual": 1, "text": 0.5, "words": 0.5}.
CREATE TABLE seemory.preference (
    owner_id   text PRIMARY KEY CHECK (owner_id <> ''),
    weights    jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- The files there are already. Their owner sees them all for the length of this transaction, which nobody else can look
-- into: ALTER TABLE keeps all others out until it ends.
ALTER TABLE seemory.asset NO FORCE ROW LEVEL SECURITY;
ALTER TABLE seemory.item NO FORCE ROW LEVEL SECURITY;
ALTER TABLE seemory.collection_owner NO FORCE ROW LEVEL SECURITY;
UPDATE seemory.item i
SET language = CASE WHEN i.caption IS NULL AND i.transcript IS NULL AND i.tags = '{}' THEN NULL ELSE 'english' END,
    document = seemory.joined(
        seemory.words_of('english', i.caption, i.tags, NULL, i.transcript),
        seemory.words_of_file('english', a.uri, a.metadata))
FROM seemory.asset a WHERE a.owner_id = i.owner_id AND a.id = i.asset_id;
INSERT INTO seemory.vocabulary (owner_id, collection_id, word)
SELECT DISTINCT i.owner_id, i.collection_id, hashtextextended(lexeme, 0)
FROM seemory.item i, unnest(tsvector_to_array(i.document)) AS lexeme;
UPDATE seemory.collection_owner SET languages = '{english}';
ALTER TABLE seemory.asset FORCE ROW LEVEL SECURITY;
ALTER TABLE seemory.item FORCE ROW LEVEL SECURITY;
ALTER TABLE seemory.collection_owner FORCE ROW LEVEL SECURITY;

ALTER TABLE seemory.vocabulary ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.vocabulary FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.vocabulary
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));

ALTER TABLE seemory.preference ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.preference FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.preference
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));
