-- Scenes of films. A scene's row in a generation has the mean of its frames' vectors as `embedding`, where searches and the
-- index look, and each frame's own beside it: which moment of the scene it was is asked of a few scenes at a time, so the
-- frames need neither a table nor an index of their own, and go wherever their scene's row goes. Kept outside the row, so
-- that a scan over the embeddings does not read them.
DO $block$
DECLARE
    made record;
BEGIN
    FOR made IN SELECT table_name, dim FROM seemory.generation LOOP
        EXECUTE format('ALTER TABLE seemory.%I ADD COLUMN frames halfvec(%s)[]', made.table_name, made.dim);
        EXECUTE format('ALTER TABLE seemory.%I ALTER COLUMN frames SET STORAGE EXTERNAL', made.table_name);
    END LOOP;
END
$block$;
