-- What is said in films. A film's asset has all its tracks of words as they were read (`tracks`: source, origin, language,
-- cues as [from, to, text]) and, small enough to be asked for with every file, what they were read from (`words_from`), by
-- which a changed subtitle file is noticed. A scene has the cues that are its own (`spoken`), a track a language; its
-- `transcript` is then their text in the first language. A transcript without `spoken` was given by a person.

ALTER TABLE seemory.asset ADD COLUMN tracks jsonb, ADD COLUMN words_from jsonb;
ALTER TABLE seemory.item ADD COLUMN spoken jsonb;

COMMENT ON COLUMN seemory.asset.tracks IS 'the words of a film: [{source, origin, language, tag, problem, cues: [[from, to, text]]}]';
COMMENT ON COLUMN seemory.asset.words_from IS 'what a film''s words were read from: {files: [[name, bytes, mtime_ns]], silent, by}';
COMMENT ON COLUMN seemory.item.spoken IS 'the cues of a scene: [{source, language, cues: [[from, to, text]]}]; transcript is their text';

-- Each track in its own language, all together no longer than what a transcript is read of.
CREATE FUNCTION seemory.words_of_tracks(spoken jsonb) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $function$
DECLARE
    words tsvector := '';
    track jsonb;
BEGIN
    FOR track IN SELECT value FROM jsonb_array_elements(spoken) LOOP
        words := seemory.joined(words, setweight(to_tsvector((track ->> 'language')::regconfig, left(
            (SELECT coalesce(string_agg(cue.value ->> 2, E'\n' ORDER BY cue.n), '')
             FROM jsonb_array_elements(track -> 'cues') WITH ORDINALITY AS cue (value, n)),
            60000 / jsonb_array_length(spoken))), 'C'));
    END LOOP;
    RETURN words;
END
$function$;

-- What was said of an item, by a person or in it. Where there are tracks, the transcript is their text.
CREATE FUNCTION seemory.words_of(
    language text, caption text, tags text[], notes text, transcript text, spoken jsonb
) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN spoken IS NULL THEN seemory.words_of(language, caption, tags, notes, transcript)
    ELSE seemory.joined(seemory.words_of(language, caption, tags, notes, NULL), seemory.words_of_tracks(spoken)) END;
