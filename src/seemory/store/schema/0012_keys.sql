-- Keys that the service lets people in by. A key is 32 random bytes: its hash tells nothing of it, and needs no salt.

CREATE TABLE seemory.api_key (
    owner_id   text NOT NULL CHECK (owner_id <> ''),
    id         uuid NOT NULL,
    sha256     bytea NOT NULL,
    scope      text NOT NULL CHECK (scope IN ('read', 'write', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    PRIMARY KEY (owner_id, id)
);

-- Not unique: a key that told one owner of another's rows would be one more way round the wall.
CREATE INDEX api_key_sha256 ON seemory.api_key (sha256);

ALTER TABLE seemory.api_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.api_key FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.api_key
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));

-- Whose a key is, is what the service asks before it knows an owner.
CREATE POLICY operator ON seemory.api_key FOR SELECT
    USING (current_setting('seemory.operator', true) = 'on');
