-- The adapter that makes a critic speak as an advisor: its name, the model it was made for, and the hash of its files,
-- which lie in the data folder. Nothing is loaded that has another hash.

ALTER TABLE seemory.advisor ADD COLUMN adapter jsonb;
