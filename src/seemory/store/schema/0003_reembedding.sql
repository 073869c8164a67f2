-- What re-embedding needs: whose rows there are to work off, and what a generation's verification found.

ALTER TABLE seemory.generation ADD COLUMN verification jsonb;

-- Which owners have files in which collection: names of owners and nothing else. Work for all owners is done one owner
-- at a time, each under its own row-level security; this is the list of whose turn it is.
CREATE TABLE seemory.collection_owner (
    owner_id      text NOT NULL CHECK (owner_id <> ''),
    collection_id bigint NOT NULL REFERENCES seemory.collection (id),
    PRIMARY KEY (owner_id, collection_id)
);

-- The owners there are already. The table's owner sees them all for the length of this transaction, which nobody else
-- can look into: ALTER TABLE keeps all others out of `asset` until it ends.
ALTER TABLE seemory.asset NO FORCE ROW LEVEL SECURITY;
INSERT INTO seemory.collection_owner SELECT DISTINCT owner_id, collection_id FROM seemory.asset;
ALTER TABLE seemory.asset FORCE ROW LEVEL SECURITY;

ALTER TABLE seemory.collection_owner ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.collection_owner FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.collection_owner
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));

-- An operator's transaction says that it is one, and may read this list; it opens no row of any other table.
CREATE POLICY operator ON seemory.collection_owner FOR SELECT
    USING (current_setting('seemory.operator', true) = 'on');
