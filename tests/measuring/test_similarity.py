from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models.toys import sentence_folder

from seemory.errors import ModelCorrupt, ModelError, ModelNotFound, TowerMissing, UsageError
from seemory.measuring.similarity import compare, read_judged, table
from seemory.measuring.text_ways import Asked, TextWay, embedded, text_ways
from seemory.models.folder import read_folder
from seemory.models.untrained import untrained_texts
from seemory.models.word_vectors import WordVectors, words_of

PAIRS = [(5.0, "a red cat", "the red cat"), (0.0, "a dog", "the beach house"), (3.0, "a cat", "a red dog")]


def sts(path: Path) -> Path:
    lines = [f"main\tfile\t2012\t{n}\t{score}\t{one}\t{two}\textra" for n, (score, one, two) in enumerate(PAIRS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def ways(asked: Asked, texts: list[str], folder: Path) -> tuple[list[TextWay], list[str]]:
    found = list(text_ways(asked, texts, folder / "scratch", home=folder, offline=True))
    return [one for one in found if isinstance(one, TextWay)], [one for one in found if isinstance(one, str)]


def test_pairs_are_read_in_every_form(tmp_path: Path) -> None:
    forms = {
        "glue.tsv": "index\tsentence1\tsentence2\tscore\n" + "".join(f"0\t{a}\t{b}\t{s}\n" for s, a, b in PAIRS),
        "named.csv": "score,sentence_A,sentence_B\n" + "".join(f'{s},"{a}",{b}\n' for s, a, b in PAIRS),
        "first.csv": "".join(f"{s},{a},{b}\n" for s, a, b in PAIRS),
        "last.csv": "".join(f"{a},{b},{s}\n" for s, a, b in PAIRS),
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for file in (sts(tmp_path / "sts.csv"), *(tmp_path / name for name in forms)):
        judged = read_judged(file)
        assert list(zip(judged.scores, judged.first, judged.second, strict=True)) == PAIRS, file.name
    (tmp_path / "quoted.tsv").write_text('g\tf\ty\t0\t1\t"Left open\tand shut"\n' * 2)
    assert read_judged(tmp_path / "quoted.tsv").first[0] == '"Left open', "quotation marks are the sentence's own"


@pytest.mark.parametrize(
    "text",
    ["", "one,two\n", "a,b,c\nd,e,f\n", "score,sentence1,sentence2\nnan,a,b\n1,a,b\n", "1,a,\n2,b,c\n", "1,a,b\n"],
)
def test_what_is_no_pairs_says_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(UsageError, match=r"pairs\.csv"):
        read_judged(tmp_path / "pairs.csv")
    (tmp_path / "pairs.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        read_judged(tmp_path / "pairs.csv")


def test_words_are_split_as_glove_s_were() -> None:
    assert words_of("Don't stop: it's John's 3 dogs!") == [
        *("do", "n't", "stop", ":", "it", "'s", "john", "'s", "3", "dogs", "!")
    ]


def test_word_vectors_are_averaged_over_the_words_that_are_known(tmp_path: Path) -> None:
    file = tmp_path / "glove.txt"
    file.write_text("3 2\ncat 1 0\ndog 0 2\nhouse 5 5\n")
    read = WordVectors.read(file, {"cat", "dog", "bird"})
    assert set(read.known) == {"cat", "dog"}
    assert read.embed(["Cat dog", "a cat?", "bird"]).tolist() == [[0.5, 1.0], [1.0, 0.0], [0.0, 0.0]]
    assert read.coverage(["cat dog bird bird!"]) == 0.5
    for wrong in (b"", b"cat 1 0\ndog 1\n", b"cat 1 nan\n", b"cat 1 x\n", b"cat \xff\xfe 1\n"):
        file.write_bytes(wrong)
        with pytest.raises(ModelCorrupt, match=r"glove\.txt"):
            WordVectors.read(file)
    with pytest.raises(ModelNotFound):
        WordVectors.read(tmp_path)


def test_each_pooling_is_another_way_and_untrained_another_network(tmp_path: Path) -> None:
    judged = read_judged(sts(tmp_path / "sts.csv"))
    folder = sentence_folder(tmp_path / "toy", dim=6)
    asked = Asked([str(folder)], ("mean", "cls", "max"), untrained=True)
    found, notes = ways(asked, judged.sentences, tmp_path)
    assert [one.title for one in found] == [
        *("toy, mean, its own", "toy, cls", "toy, max", "toy untrained, mean, its own")
    ]
    assert notes == []
    vectors = [embedded(way, judged.sentences) for way in found]
    for n, one in enumerate(vectors):
        assert np.linalg.norm(one, axis=1) == pytest.approx(1, abs=1e-5)
        assert all(not np.allclose(one, other) for other in vectors[n + 1 :])
    assert vectors[1] == pytest.approx(np.repeat(vectors[1][:1], len(vectors[1]), axis=0)), (
        "[CLS] has seen nothing here"
    )
    again = untrained_texts(read_folder(folder), tmp_path / "again")
    assert (tmp_path / "again/model.onnx").read_bytes() == (tmp_path / "scratch/0/model.onnx").read_bytes()
    assert again.image_model is None


def test_what_is_pooled_in_its_export_says_so(tmp_path: Path) -> None:
    found, notes = ways(Asked(["seemory-mini"], ("cls", "max")), ["a cat"], tmp_path)
    assert len(found) == 1
    assert notes == ["seemory-mini is pooled in its export, so --pooling cls cannot be had of it"]


def test_agreement_is_told_before_and_after_remedies(tmp_path: Path) -> None:
    judged = read_judged(sts(tmp_path / "sts.csv"))
    (tmp_path / "glove.txt").write_text("cat 1 0 .5\ndog 0 1 .5\nred .3 .1 .5\nthe .1 .1 .5\nhouse -1 -1 .5\n")
    asked = Asked(["seemory-mini", str(sentence_folder(tmp_path / "toy"))], ("cls",), [tmp_path / "glove.txt"])
    found, notes = compare(text_ways(asked, judged.sentences, tmp_path, home=tmp_path, offline=True), judged)
    assert [one.way.name for one in found] == ["glove.txt", "seemory-mini", "toy", "toy"]
    assert found[1].correlations["none"] == pytest.approx(1), "three pairs in the right order"
    assert found[3].correlations["none"] is None, "vectors that are all one say nothing"
    assert "knows" in notes[0]
    document = found[0].as_json()
    assert set(document["spearman"]) == {"none", "centred", "all-but-the-top", "whitened"}
    assert -1 <= document["spearman"]["centred"] <= 1
    shown = table(judged, found, ("none", "centred"))
    assert shown.rows[1][4] == "100.00"
    fitted, _ = compare(
        text_ways(Asked(["seemory-mini"]), [], tmp_path, home=tmp_path, offline=True),
        judged,
        ["a sea", "a ship", "tea"],
    )
    assert fitted[0].correlations["none"] == found[1].correlations["none"]


def test_a_sentence_of_unknown_words_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    judged = read_judged(sts(tmp_path / "sts.csv"))
    (tmp_path / "few.txt").write_text("cat 1 0\nred 0 1\ndog 1 1\n")
    found, notes = compare(
        text_ways(Asked([], words=[tmp_path / "few.txt"]), judged.sentences, tmp_path, home=tmp_path), judged
    )
    assert found[0].unknown == 1
    assert "1 pairs have a sentence of which it knows no word" in notes[-1]
    (tmp_path / "none.txt").write_text("zebra 1 0\n")
    found, _ = compare(
        text_ways(Asked([], words=[tmp_path / "none.txt"]), judged.sentences, tmp_path, home=tmp_path), judged
    )
    assert (found[0].unknown, found[0].correlations["none"]) == (3, None)


def test_what_cannot_embed_texts_is_refused(tmp_path: Path) -> None:
    from models.toys import folder

    for asked, error in (
        (Asked([]), UsageError),
        (Asked(["no-such-model"]), ModelNotFound),
        (Asked(["seemory-mini@int8"]), UsageError),
        (Asked([str(folder(tmp_path / "pictures", text=False))]), TowerMissing),
        (Asked([], words=[tmp_path / "absent.txt"]), ModelNotFound),
    ):
        with pytest.raises(error):
            ways(asked, ["a cat"], tmp_path)
    pictures = read_folder(folder(tmp_path / "more", text=False))
    with pytest.raises(ModelError, match="no text tower"):
        untrained_texts(pictures, tmp_path / "out")


def test_minilm_on_sts_b_reaches_what_it_was_trained_for(shared: Path, tmp_path: Path) -> None:
    """GloVe's averages on the first 300 pairs; MiniLM itself is measured in docs/evaluation.md."""
    lines = (shared / "sts" / "sts-test.csv").read_text(encoding="utf-8").splitlines()[:300]
    (tmp_path / "sts.csv").write_text("\n".join(lines), encoding="utf-8")
    judged = read_judged(tmp_path / "sts.csv")
    asked = Asked(["seemory-mini"], words=[shared / "text" / "glove.6B.50d.part.txt"])
    found, _ = compare(text_ways(asked, judged.sentences, tmp_path, home=tmp_path, offline=True), judged)
    glove, mini = (one.correlations for one in found)
    assert mini["none"] > 0.6, "vectors that were trained for cosines"
    assert glove["none"] < mini["none"]
    assert found[0].mean_cosine > 0.5 > 0.3 > found[1].mean_cosine, "averages of words share a direction"
