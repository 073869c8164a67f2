"""Vectors equal to transformers', family by family. The figures are printed (`pytest -s`, benchmarks/parity.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from references import BUILDERS, TEXTS, Reference

from seemory.media.image import load_picture
from seemory.models.catalog import find_spec
from seemory.models.encoder import Encoder
from seemory.models.folder import read_folder

STS = Path(__file__).resolve().parents[3] / "shared" / "data" / "sts" / "sts-test.csv"
PARITY = 0.9999

Build = Callable[[str], Reference]


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Build:
    made: dict[str, Reference] = {}

    def build(name: str) -> Reference:
        if name not in made:
            made[name] = BUILDERS[name](tmp_path_factory.mktemp(name))
        return made[name]

    return build


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Soft blobs with sharp edges on them: something that resizing can spoil."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (max(2, height // 24), max(2, width // 24), 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).copy()
    image[:: max(3, height // 9)] = 255 - image[:: max(3, height // 9)]
    return Image.fromarray(image)


def write_pictures(folder: Path) -> dict[str, tuple[Path, Image.Image]]:
    """Files of awkward kinds, each with the upright RGB picture a person would see in it."""
    plain = photograph(331, 277)
    pictures: dict[str, tuple[Path, Image.Image]] = {}

    def keep(name: str, expected: Image.Image, stored: Image.Image, **options: object) -> None:
        path = folder / name
        stored.save(path, **options)
        pictures[name] = (path, expected)

    keep("plain.png", plain, plain)
    for orientation in (3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        # A lossless container, so that the expected pixels are known.
        turned = plain.transpose(
            {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
        )
        keep(f"orientation-{orientation}.png", plain, turned, exif=exif)
    alpha = Image.new("L", plain.size, 0)
    alpha.paste(255, (40, 40, 250, 200))
    white = Image.new("RGB", plain.size, "white")
    white.paste(plain, mask=alpha)
    with_alpha = plain.copy()
    with_alpha.putalpha(alpha)
    keep("alpha.png", white, with_alpha)
    palette = plain.quantize(64)
    keep("palette.png", palette.convert("RGB"), palette)
    keep("grey.png", plain.convert("L").convert("RGB"), plain.convert("L"))
    keep("cmyk.tif", plain.convert("CMYK").convert("RGB"), plain.convert("CMYK"))
    deep = np.asarray(plain.convert("L")).astype(np.uint16) * 257
    keep("deep.png", plain.convert("L").convert("RGB"), Image.fromarray(deep))
    frames = [photograph(300, 240, seed).quantize(64) for seed in (1, 2, 3)]
    keep("animated.gif", frames[0].convert("RGB"), frames[0], save_all=True, append_images=frames[1:])
    for width, height in ((5000, 3), (3, 5000), (900, 200), (1, 1), (223, 225), (640, 427)):
        picture = photograph(width, height)
        keep(f"{width}x{height}.png", picture, picture)
    jpeg = folder / "photo.jpg"
    photograph(400, 300).save(jpeg, quality=92)
    pictures["photo.jpg"] = (jpeg, ImageOps.exif_transpose(Image.open(jpeg)).convert("RGB"))
    return pictures


def worst(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float((ours * theirs).sum(axis=1).min())


@pytest.mark.parametrize("name", BUILDERS)
def test_texts_give_the_reference_s_vectors(name: str, reference: Build) -> None:
    made = reference(name)
    assert made.texts is not None
    theirs = made.texts(TEXTS)
    ours = Encoder(read_folder(made.folder)).embed_texts(TEXTS)
    print(f"{made.family}: words, worst cosine of {len(TEXTS)}: {worst(ours, theirs):.7f}")
    assert ours.dtype == np.float32
    assert ours.shape == (len(TEXTS), made.dim)
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-6)
    assert worst(ours, theirs) >= PARITY
    # The reference must itself tell these texts apart, or agreeing with it would mean nothing.
    assert (theirs @ theirs.T)[np.triu_indices(len(TEXTS), 1)].max() < 0.99


@pytest.mark.parametrize("name", ["clip-quick-gelu", "clip-gelu", "siglip", "siglip2"])
def test_pictures_give_the_reference_s_vectors(name: str, reference: Build, tmp_path: Path) -> None:
    made = reference(name)
    assert made.images is not None
    encoder = Encoder(read_folder(made.folder))
    pictures = write_pictures(tmp_path)
    # The reference resizes 5000 x 3 to a strip of 373,333 x 224 without harm beyond a quarter of a gigabyte.
    theirs = made.images([expected for _, expected in pictures.values()])
    loaded = [load_picture(path, target=encoder.image_size).image for path, _ in pictures.values()]
    cosines = (encoder.embed_images(loaded) * theirs).sum(axis=1)
    figures = dict(zip(pictures, cosines.round(7).tolist(), strict=True))
    print(f"{made.family}: pictures, worst cosine of {len(figures)}: {min(figures.values()):.7f}")
    assert min(figures.values()) >= PARITY, figures


def test_the_two_activations_of_clip_are_not_the_same_model(reference: Build) -> None:
    """QuickGELU belongs to OpenAI's weights: losing it must show, else the parity of both would prove nothing."""
    quick, plain = reference("clip-quick-gelu"), reference("clip-gelu")
    assert quick.images is not None
    assert plain.images is not None
    picture = [photograph(300, 240)]
    assert worst(plain.images(picture), quick.images(picture)) < PARITY


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("clip-quick-gelu", "vit-b-32-openai"),
        ("siglip", "vit-b-16-siglip"),
        ("siglip2", "vit-b-16-siglip2"),
        ("multilingual", "vit-b-32-multilingual"),
        ("minilm", "all-minilm-l6-v2"),
    ],
)
def test_the_catalogue_s_text_rules_give_the_reference_s_vectors(name: str, entry: str, reference: Build) -> None:
    made = reference(name)
    assert made.texts is not None
    spec = replace(find_spec(entry), dim=made.dim)
    encoder = Encoder(read_folder(made.folder, spec))
    assert encoder.spec.text == find_spec(entry).text
    assert worst(encoder.embed_texts(TEXTS), made.texts(TEXTS)) >= PARITY


def test_clip_text_at_its_own_length_is_the_vector_at_77(reference: Build) -> None:
    made = reference("clip-quick-gelu")
    folder = read_folder(made.folder)
    encoder = Encoder(folder)
    session, tokens, _ = encoder.text_tower()
    rows = tokens.encode(["a photo of a dog on the beach"])
    free, _ = tokens.pad(rows)
    assert free.shape[1] == len(rows[0]) < 77
    full = np.full((1, 77), tokens.pad_id)
    full[:, : free.shape[1]] = free
    at_77 = session.run({"text": full})[0]
    at_its_own = session.run({"text": free})[0]
    assert np.allclose(at_its_own, at_77, atol=1e-5)
    # And alone as among longer ones.
    assert worst(encoder.embed_texts(TEXTS)[:1], encoder.embed_texts(TEXTS[:1])) > 0.999999


def test_a_text_that_is_cut_keeps_its_end_token(reference: Build) -> None:
    for name, length in (("clip-quick-gelu", 77), ("siglip", 64), ("siglip2", 64), ("minilm", 256)):
        encoder = Encoder(read_folder(reference(name).folder))
        tokens = encoder.text_tower()[1]
        short, long = tokens.encode(["dog", TEXTS[2]])
        assert len(long) == length
        assert long[-1] == short[-1], name


@pytest.mark.skipif(not STS.is_file(), reason="STS-B lies in ../shared/data/sts, which is not part of the project")
def test_minilm_s_similarities_rank_as_people_do(reference: Build) -> None:
    from scipy.stats import spearmanr

    rows = [line.rstrip("\n").split("\t") for line in STS.read_text(encoding="utf-8").splitlines()]
    encoder = Encoder(read_folder(reference("minilm").folder))
    first, second = (encoder.embed_texts([row[column] for row in rows]) for column in (5, 6))
    found = float(spearmanr((first * second).sum(axis=1), [float(row[4]) for row in rows])[0])
    print(f"MiniLM on STS-B test: Spearman {found:.4f}")
    assert found >= 0.82
