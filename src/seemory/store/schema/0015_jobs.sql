-- Long work that a request began and that outlives it. What it works on (files that were sent, what was asked) lies in the data
-- folder of the machine that took it; this row is what its owner sees of it, from any process on this database.

CREATE TABLE seemory.job (
    owner_id   text NOT NULL CHECK (owner_id <> ''),
    id         uuid NOT NULL,
    collection text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('index', 'upload', 'retry', 'reembed')),
    state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    stage      text,
    done       bigint NOT NULL DEFAULT 0,
    total      bigint,
    report     jsonb,
    problem    text,
    cancel     boolean NOT NULL DEFAULT false,
    tries      integer NOT NULL DEFAULT 0,
    worker     uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    PRIMARY KEY (owner_id, id)
);

CREATE INDEX job_created ON seemory.job (owner_id, created_at);

ALTER TABLE seemory.job ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.job FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.job
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));
