-- Libraries of reference photographs: whose work it is (an advisor), its pictures, and what was made of them.

CREATE TABLE seemory.advisor (
    owner_id   text NOT NULL CHECK (owner_id <> ''),
    name       text NOT NULL CHECK (name <> ''),
    biography  text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner_id, name)
);

-- A picture is known by its content: the same bytes are one reference, wherever the file lies. `proof` is a small copy
-- for reports, which shows the work also when its file is gone.
CREATE TABLE seemory.reference (
    owner_id   text NOT NULL,
    advisor    text NOT NULL,
    sha256     bytea NOT NULL,
    uri        text NOT NULL,
    title      text,
    year       text,
    source     text,
    licence    text,
    width      integer NOT NULL,
    height     integer NOT NULL,
    proof      bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner_id, advisor, sha256),
    FOREIGN KEY (owner_id, advisor) REFERENCES seemory.advisor (owner_id, name) ON DELETE CASCADE
);
ALTER TABLE seemory.reference ALTER COLUMN proof SET STORAGE EXTERNAL;

-- What an encoder made of a content. A library is some dozens or hundreds of pictures and is compared whole, so vectors
-- of all encoders and widths lie in one table without an index over them; a change of encoder adds rows, and the way
-- back finds the old ones.
CREATE TABLE seemory.reference_vector (
    owner_id    text NOT NULL CHECK (owner_id <> ''),
    sha256      bytea NOT NULL,
    fingerprint text NOT NULL,
    embedding   halfvec NOT NULL,
    PRIMARY KEY (owner_id, sha256, fingerprint)
);

-- A content's eight scores, made with an encoder (which sees what no formula holds) by one version of the formulas.
CREATE TABLE seemory.dimension_profile (
    owner_id    text NOT NULL CHECK (owner_id <> ''),
    sha256      bytea NOT NULL,
    fingerprint text NOT NULL,
    formulas    text NOT NULL,
    profile     jsonb NOT NULL,
    PRIMARY KEY (owner_id, sha256, fingerprint, formulas)
);

ALTER TABLE seemory.advisor ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.advisor FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.advisor
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));

ALTER TABLE seemory.reference ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.reference FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.reference
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));

ALTER TABLE seemory.reference_vector ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.reference_vector FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.reference_vector
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));

ALTER TABLE seemory.dimension_profile ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.dimension_profile FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.dimension_profile
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));
