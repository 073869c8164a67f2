-- What is remembered: collections and their generations (an operator's, without owner), assets and items (an owner's).
-- Every key of an owner's table starts with owner_id, so that the same tables can be distributed by it.

CREATE TABLE seemory.collection (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE seemory.generation (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection_id bigint NOT NULL REFERENCES seemory.collection (id),
    channel       text NOT NULL CHECK (channel IN ('visual', 'text')),
    table_name    text NOT NULL UNIQUE,
    model         text NOT NULL,
    fingerprint   text NOT NULL,
    dim           integer NOT NULL CHECK (dim > 0),
    state         text NOT NULL CHECK (state IN ('building', 'ready', 'live', 'retired', 'failed')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);

-- The alias: at most one generation of a collection's channel answers searches.
CREATE UNIQUE INDEX generation_live ON seemory.generation (collection_id, channel) WHERE state = 'live';

CREATE TABLE seemory.asset (
    owner_id      text NOT NULL CHECK (owner_id <> ''),
    id            uuid NOT NULL,
    collection_id bigint NOT NULL REFERENCES seemory.collection (id),
    kind          text NOT NULL CHECK (kind IN ('image', 'scene', 'text')),
    uri           text NOT NULL,
    -- A B-tree entry holds some 2,700 bytes, a path may have 4,096: uniqueness is over the hash.
    uri_key       uuid NOT NULL GENERATED ALWAYS AS (md5(uri)::uuid) STORED,
    sha256        bytea,
    bytes         bigint NOT NULL,
    mtime_ns      bigint NOT NULL,
    width         integer,
    height        integer,
    format        text,
    camera        text,
    taken_at      timestamptz,
    metadata      jsonb NOT NULL DEFAULT '{}',
    error         text,
    attempts      integer NOT NULL DEFAULT 0,
    missing_at    timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner_id, id),
    UNIQUE (owner_id, collection_id, uri_key)
);

CREATE INDEX asset_sha256 ON seemory.asset (owner_id, collection_id, sha256);

CREATE TABLE seemory.item (
    owner_id      text NOT NULL,
    id            uuid NOT NULL,
    asset_id      uuid NOT NULL,
    collection_id bigint NOT NULL REFERENCES seemory.collection (id),
    kind          text NOT NULL CHECK (kind IN ('image', 'scene', 'text')),
    ordinal       integer NOT NULL DEFAULT 0,
    start_s       double precision,
    end_s         double precision,
    caption       text,
    transcript    text,
    tags          text[] NOT NULL DEFAULT '{}',
    document      tsvector,
    thumbnail     bytea,
    metadata      jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner_id, id),
    UNIQUE (owner_id, asset_id, ordinal),
    FOREIGN KEY (owner_id, asset_id) REFERENCES seemory.asset (owner_id, id) ON DELETE CASCADE
);

CREATE INDEX item_listing ON seemory.item (owner_id, collection_id, created_at, id);

-- JPEG bytes do not shrink further: no time is spent on trying.
ALTER TABLE seemory.item ALTER COLUMN thumbnail SET STORAGE EXTERNAL;

-- An owner sees its own rows only, whoever asks; an unset or empty owner sees none, because no row has an empty owner.
ALTER TABLE seemory.asset ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.asset FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.asset
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));

ALTER TABLE seemory.item ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.item FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.item
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));
