-- Words by an index. It is asked where `@@` is declared leakproof (word_index.py): always on the embedded server, and
-- where a superuser has said so on another; elsewhere the owner's documents are read, as before.
--
-- New documents wait in a list that every search has to read: it is kept short.
CREATE INDEX item_document ON seemory.item USING gin (document) WITH (gin_pending_list_limit = 256);
