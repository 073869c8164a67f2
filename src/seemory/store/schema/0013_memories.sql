-- What somebody asked to be remembered in words is an item of kind 'text', its asset named `memory:<id>/` (of a name that ends
-- in a slash no word is read). How often it was said, and in which other words, stands in the item's metadata; which
-- memories say nearly the same, here, both ways.

CREATE TABLE seemory.memory_link (
    owner_id text NOT NULL CHECK (owner_id <> ''),
    item_id  uuid NOT NULL,
    other_id uuid NOT NULL,
    cosine   real NOT NULL,
    PRIMARY KEY (owner_id, item_id, other_id),
    FOREIGN KEY (owner_id, item_id) REFERENCES seemory.item (owner_id, id) ON DELETE CASCADE,
    FOREIGN KEY (owner_id, other_id) REFERENCES seemory.item (owner_id, id) ON DELETE CASCADE
);

CREATE INDEX memory_link_other ON seemory.memory_link (owner_id, other_id);

ALTER TABLE seemory.memory_link ENABLE ROW LEVEL SECURITY;
ALTER TABLE seemory.memory_link FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON seemory.memory_link
    USING (owner_id = current_setting('seemory.owner', true))
    WITH CHECK (owner_id = current_setting('seemory.owner', true));
