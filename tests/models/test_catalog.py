"""The catalogue: names, aliases, what users add, and facts that are easy to get wrong."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from seemory.errors import ModelError, ModelNotFound
from seemory.models.catalog import DIRECTIONS, ModelSpec, default_name, find_spec, load_catalog

EXPECTED = {
    "vit-b-32-openai",
    "vit-b-32-laion2b",
    "vit-b-16-openai",
    "vit-l-14-openai",
    "vit-b-16-siglip",
    "vit-b-16-siglip2",
    "vit-b-32-multilingual",
    "all-minilm-l6-v2",
    "seemory-mini",
}


def test_has_the_promised_models_and_a_default_among_them() -> None:
    assert set(load_catalog()) >= EXPECTED
    assert default_name() in load_catalog()


def test_widths_are_those_of_the_vectors_not_of_the_layers() -> None:
    widths = {name: find_spec(name).dim for name in EXPECTED - {"seemory-mini"}}
    assert widths["vit-b-16-openai"] == 512  # 768 is its inner width
    assert (widths["vit-b-32-openai"], widths["vit-l-14-openai"]) == (512, 768)
    assert (widths["vit-b-16-siglip"], widths["vit-b-16-siglip2"], widths["all-minilm-l6-v2"]) == (768, 768, 384)


def test_quick_gelu_belongs_to_openai_s_weights_only() -> None:
    quick = {name for name, spec in load_catalog().items() if spec.activation == "quick_gelu"}
    assert quick == {name for name in EXPECTED if name.endswith("-openai")}


def test_siglip_squashes_and_clip_crops() -> None:
    for name, spec in load_catalog().items():
        if spec.preprocess is None:
            continue
        sigmoid = "siglip" in name
        assert spec.preprocess.resize_mode == ("squash" if sigmoid else "shortest")
        assert (spec.preprocess.mean == (0.5, 0.5, 0.5)) is sigmoid
        assert (spec.logit_bias is not None) is sigmoid


@pytest.mark.parametrize("spec", load_catalog().values(), ids=lambda spec: spec.name)
def test_every_entry_says_where_it_comes_from_and_under_what_terms(spec: ModelSpec) -> None:
    assert spec.summary
    assert spec.licence in ("MIT", "Apache-2.0")
    if not spec.bundled:
        assert spec.repo
        assert spec.files
        assert bool(re.fullmatch("[0-9a-f]{40}", spec.revision)) is spec.revision_pinned
    for direction, statistics in spec.calibration.items():
        assert direction in DIRECTIONS
        assert statistics.match_mean > statistics.background_mean
        assert min(statistics.background_std, statistics.match_std) > 0
        assert math.isfinite(statistics.match_mean)
    assert spec.measured <= set(spec.calibration)


@pytest.mark.parametrize(
    "alias",
    ["ViT-B-32__openai", "ViT-B-32/openai", "vit-b-32-openai", "VIT-B-32-OPENAI", "openai/clip-vit-base-patch32"],
)
def test_a_model_is_found_by_the_names_other_tools_give_it(alias: str) -> None:
    assert find_spec(alias).name == "vit-b-32-openai"


def test_names_are_not_ambiguous() -> None:
    for spec in load_catalog().values():
        for alias in (spec.name, *spec.aliases):
            assert find_spec(alias) is spec


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(ModelNotFound, match=r"vit-b-32-openai.*models list"):
        find_spec("vit-b32-opnai")


def test_a_user_adds_models_as_data(tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(
        '[model.mine]\nfamily = "clip"\nrepo = "me/mine"\nrevision_pinned = false\nlicence = "MIT"\ndim = 640\n'
        'preprocess = "clip-224"\ntext = "clip"\naliases = ["My-CLIP__v1"]\n'
    )
    spec = find_spec("my-clip/v1", tmp_path)
    assert (spec.name, spec.dim, spec.towers) == ("mine", 640, ("image", "text"))
    assert set(load_catalog(tmp_path)) >= EXPECTED
    assert "mine" not in load_catalog()


@pytest.mark.parametrize(
    "text",
    ["[model.mine]\nfamily = ", '[model.mine]\nfamily = "clip"\n', '[model.m]\nfamily = "c"\ndim = 4\ncolour = 1\n'],
)
def test_a_wrong_addition_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "models.toml").write_text(text)
    with pytest.raises(ModelError, match=r"models\.toml"):
        load_catalog(tmp_path)
