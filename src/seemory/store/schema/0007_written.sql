-- Which transaction wrote a vector. Whoever keeps a copy of an owner's vectors and remembers the oldest transaction that
-- was under way when it was made (pg_snapshot_xmin) finds here all that was written since, whenever it was committed.
--
-- Not on a cluster, whose nodes number their transactions apart, and whose tables have no triggers.

CREATE FUNCTION seemory.set_written() RETURNS trigger
LANGUAGE plpgsql
AS $function$
BEGIN
    NEW.written := pg_current_xact_id();
    RETURN NEW;
END
$function$;

CREATE FUNCTION seemory.is_distributed() RETURNS boolean
LANGUAGE plpgsql STABLE
AS $function$
DECLARE
    distributed boolean := false;
BEGIN
    IF to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL THEN
        EXECUTE $$SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_partition
                  WHERE logicalrelid = to_regclass('seemory.asset') AND partmethod = 'h')$$ INTO distributed;
    END IF;
    RETURN distributed;
END
$function$;

-- From now on the table's rows say which transaction wrote them; those there are were written by this one. The default
-- is one value for all of them, so that nothing is rewritten.
CREATE FUNCTION seemory.note_writing(table_name text) RETURNS void
LANGUAGE plpgsql
AS $function$
BEGIN
    IF seemory.is_distributed() OR EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = format('seemory.%I', table_name)::regclass AND attname = 'written')
    THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE seemory.%I ADD COLUMN written xid8 NOT NULL DEFAULT pg_current_xact_id()', table_name);
    EXECUTE format('CREATE INDEX %I ON seemory.%I (owner_id, written)', table_name || '_written', table_name);
    EXECUTE format('CREATE TRIGGER written BEFORE UPDATE ON seemory.%I FOR EACH ROW '
                   'EXECUTE FUNCTION seemory.set_written()', table_name);
    EXECUTE format('ALTER TABLE seemory.%I ENABLE ALWAYS TRIGGER written', table_name);
END
$function$;

SELECT seemory.note_writing(table_name) FROM seemory.generation;
