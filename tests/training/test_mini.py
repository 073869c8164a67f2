"""What seemory-mini's training must never get wrong: the reserved pictures, and the exported graphs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("training.mini", reason="the repository's root is not on the path")

import onnxruntime  # noqa: E402
from onnx import TensorProto  # noqa: E402

from training.mini import (  # noqa: E402
    abilities,
    aims,
    export,
    gallery,
    join,
    measure,
    sheet,
    sources,
    start,
    teacher,
    unpack,
)
from training.mini.gallery import Gallery  # noqa: E402
from training.mini.graph import Graph, rows_int8  # noqa: E402
from training.mini.net import PictureTower  # noqa: E402
from training.mini.texttower import TextTower  # noqa: E402

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def parts() -> sources.Split:
    if not (DATA / "flickr8k_600").is_dir():
        pytest.skip("../shared/data is not here")
    return sources.split(DATA)


def test_reserved_pictures_are_every_fourth_and_apart(parts):
    names = sorted(path.name for path in (DATA / "flickr8k_600" / "images").iterdir())
    assert [picture.name for picture in parts.reserved] == names[::4]
    train = {picture.name for picture in parts.train}
    dev = {picture.name for picture in parts.dev}
    reserved = {picture.name for picture in parts.reserved}
    assert not train & reserved
    assert not train & dev
    assert not dev & reserved


def test_no_reserved_caption_is_among_the_trained(parts):
    trained = {sources.normal(caption) for caption in sources.captions(DATA, parts)}
    reserved = {sources.normal(caption) for picture in parts.reserved for caption in picture.captions}
    assert len(trained) > 30_000
    assert not trained & reserved


def test_recall_of_a_perfect_and_of_a_shifted_match():
    pictures = np.eye(20, dtype=np.float32)
    owner = np.repeat(np.arange(20), 2)
    found = measure.recall(pictures, pictures[owner], owner)
    assert found["text_to_image"]["R@1"] == 100
    assert found["image_to_text"]["R@1"] == 100
    assert found["chance"]["R@10"] == 50
    wrong = measure.recall(pictures, -pictures[owner], owner)
    assert wrong["text_to_image"]["R@10"] == 0


def test_int8_rows_are_within_half_a_step():
    value = np.random.default_rng(0).normal(size=(7, 3, 2, 2)).astype(np.float32)
    scale, code = rows_int8(value)
    assert code.dtype == np.int8
    assert np.all(np.abs(scale * code - value) <= scale / 2 + 1e-7)


def test_beliefs_sum_to_one_over_the_top_classes():
    weights = aims.beliefs(np.random.default_rng(0).normal(size=(4, 1001)).astype(np.float32), top=50)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    assert (weights > 0).sum(1).tolist() == [50] * 4


def randomised(net: torch.nn.Module) -> torch.nn.Module:
    """Zero-initialised weights moved, so that a mistake in writing them would show."""
    for parameter in net.parameters():
        if not parameter.detach().abs().sum():
            torch.nn.init.normal_(parameter, std=0.05)
    return net.eval()


def test_the_tower_begins_as_the_teacher_and_with_the_aim_of_what_it_sees(parts):
    pytest.importorskip("ai_edge_litert")
    rng = np.random.default_rng(0)
    shapes = {"classes": (1000, 384), "centre": 384, "axes": (384, 16), "mean": 1280, "weights": (1280, 384)}
    aim = aims.Aim(**{name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}, offset=0)
    aim = replace(aim, mean=np.abs(aim.mean), offset=np.full(16, 0.01, np.float32))
    net = start.begun(DATA, aim).eval()
    look = teacher.Teacher(DATA)
    for picture in parts.train[:2]:
        square = picture.open().resize((teacher.SIDE, teacher.SIDE))
        seen = look(square)
        pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            pooled = net.pooled(pixels)
            vector = torch.nn.functional.normalize(net(pixels), dim=1)[0].numpy()
            logits = net.read(pooled)["logits"].numpy()
        assert np.corrcoef(pooled[0], seen["pooled"])[0, 1] > 0.98
        assert np.corrcoef(logits[0], seen["logits"])[0, 1] > 0.98
        beliefs = aims.beliefs(logits, top=1000)
        named, told = beliefs @ aim.classes, (aims.feature(pooled.numpy()) - aim.mean) @ aim.weights
        wanted = aims.unit((aims.unit(told) + 0.7 * aims.unit(named)) @ aim.axes) - aim.offset
        assert float(vector @ aims.unit(wanted)[0]) > 0.999


@pytest.mark.parametrize("inner", [384, 16], ids=["apart", "joined"])
def test_the_picture_graph_agrees_with_the_net_and_is_read_back(inner, tmp_path):
    torch.manual_seed(0)
    net = randomised(PictureTower(16, inner))
    net.temperature = 1.5
    export.PictureWriter("float32").write(net, 64, tmp_path / "model.onnx")
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    wanted = torch.nn.functional.normalize(net(x), dim=-1).detach().numpy()
    np.testing.assert_allclose(session.run(None, {"image": x.numpy()})[0], wanted, atol=2e-5)
    again = unpack.picture_tower(tmp_path / "model.onnx")
    assert again.temperature == pytest.approx(1.5)
    with torch.no_grad():
        np.testing.assert_allclose(torch.nn.functional.normalize(again(x), dim=-1).numpy(), wanted, atol=2e-5)


def test_the_text_graph_agrees_with_the_tower_and_ignores_padding(tmp_path):
    torch.manual_seed(0)
    net = randomised(TextTower(50, 16))
    export.write_text(net, tmp_path / "model.onnx", "float32")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    ids = np.array([[4, 9, 9, 30, 2], [7, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.int64)
    found = session.run(None, {"text": ids})[0]
    wanted = torch.nn.functional.normalize(net(torch.from_numpy(ids)), dim=-1).detach().numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    padded = session.run(None, {"text": np.pad(ids, ((0, 0), (0, 9)))})[0]
    np.testing.assert_allclose(padded, found, atol=2e-5)
    empty = session.run(None, {"text": np.zeros((1, 0), np.int64)})[0]
    np.testing.assert_allclose(empty[0], found[2], atol=2e-5)


def test_a_saved_graph_has_one_output_of_norm_one(tmp_path):
    graph = Graph("unit")
    graph.save(tmp_path / "unit.onnx", ("x", TensorProto.FLOAT, ["batch", 3]), graph.unit("x"), 3)
    session = onnxruntime.InferenceSession(tmp_path / "unit.onnx", providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["embedding"]
    found = session.run(None, {"x": np.array([[3, 0, 4], [0, 0, 0]], np.float32)})[0]
    np.testing.assert_allclose(found, [[0.6, 0, 0.8], [0, 0, 0]], atol=1e-6)


def test_the_bundled_towers_are_read_back(tmp_path):
    folder = Path(export.__file__).parents[2] / "src/seemory/models/bundled/seemory-mini"
    unpack.run(folder, tmp_path)
    assert export.trained(tmp_path)["steps"] > 0
    net = export.text_tower(tmp_path)
    ids = np.array([[1037, 4937, 2006, 1996, 3509]], np.int64)
    session = onnxruntime.InferenceSession(folder / "textual/model.onnx", providers=["CPUExecutionProvider"])
    with torch.no_grad():
        found = torch.nn.functional.normalize(net(torch.from_numpy(ids)), dim=1).numpy()
    np.testing.assert_allclose(found, session.run(None, {"text": ids})[0], atol=1e-5)


def test_what_joining_learned_is_folded_into_the_towers_own_layers(tmp_path):
    torch.manual_seed(0)
    texts = torch.nn.functional.normalize(torch.randn(6, 16), dim=1)
    others = join.Told([torch.randn(3, 1, 8)], texts, [np.array([0, 1]), np.array([2, 3]), np.array([4, 5])])
    head = join.Joint(torch.randn(1280, 16), torch.randn(16), others)
    torch.nn.init.normal_(head.turn)
    torch.nn.init.normal_(head.offset, std=0.1)
    net, sentence, called = randomised(PictureTower(16)), randomised(TextTower(50, 16)), torch.randn(1000, 16)
    join.save(tmp_path / "joined.pt", net, sentence, head, called)
    picture, text = export.towers(tmp_path)
    pooled, ids = torch.rand(2, 1280), torch.tensor([[4, 9, 30]])
    with torch.no_grad():
        named = torch.nn.functional.normalize(
            torch.softmax(net.logits(pooled)[:, 1:] / join.TEMPERATURE, 1) @ called, dim=1
        )
        root = torch.nn.functional.normalize(torch.sqrt(pooled + 1e-4), dim=1)
        seen = torch.nn.functional.normalize(picture.read(pooled)["vector"], dim=1)
        torch.testing.assert_close(seen, head.picture(root, named), atol=1e-5, rtol=0)
        own = head.text(torch.nn.functional.normalize(sentence(ids), dim=1))
        torch.testing.assert_close(torch.nn.functional.normalize(text(ids), dim=1), own, atol=1e-5, rtol=0)


def test_the_forty_queries_have_right_pictures_that_nothing_was_trained_on(parts):
    shown = gallery.whole(DATA, parts)
    queries = gallery.forty()
    assert len(queries) == 40
    trained = {picture.name.split("_")[0] for picture in parts.train}
    for right in queries.values():
        assert len(shown.rows(right)) == len(right) > 0
        assert not trained & set(right)
    things, dogs = gallery.classes(DATA)
    shown.rows([*things, *dogs])
    assert all(0 <= number < 1000 for wanted in things.values() for number in wanted)
    assert {len(wanted) for wanted in dogs.values()} == {118}


def test_no_picture_that_clip_saw_is_dev_or_reserved(parts):
    vectors, captions = join.clip_pairs(DATA, parts)
    assert len(vectors) == len(captions) > 800
    assert not {sources.normal(caption) for some in captions for caption in some} & {
        sources.normal(caption) for picture in parts.reserved for caption in picture.captions if len(caption) > 50
    }


class Colours:
    """Sees the mean colour, and reads the three words for them."""

    def pictures(self, pictures):
        return aims.unit(np.array([np.asarray(picture, np.float32).mean((0, 1)) for picture in pictures]))

    def texts(self, texts):
        return np.array([[text == "red", text == "green", text == "blue"] for text in texts], np.float32)


def test_queries_are_ranked_and_drawn(tmp_path):
    from PIL import Image

    shown = Gallery(["r", "g", "b"], [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime", "blue")])
    seer = Colours()
    found = abilities.asked(seer, shown, seer.pictures(shown.pictures), {"red": ["r"], "green": ["b"]})
    assert [row["rank"] for row in found] == [1, 3]
    assert found[0]["first"][0] == "r"
    sheet.draw([(shown, found)], tmp_path / "sheet.png")
    drawn = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert (drawn == np.array([0x1A, 0x7F, 0x37])).all(-1).any()
    assert (drawn == np.array([0xCF, 0x22, 0x2E])).all(-1).any()
