"""Settings: arguments over environment over the data folder's file, wrong ones named."""

from __future__ import annotations

from pathlib import Path

import pytest

from seemory.errors import UsageError
from seemory.settings import read_settings


def test_arguments_win_over_environment_and_environment_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text(
        'owner = "file"\ncollection = "file"\nmodel = "file"\n[index]\nbatch_size = 7\n'
    )
    monkeypatch.setenv("SEEMORY_HOME", str(tmp_path))
    monkeypatch.setenv("SEEMORY_OWNER", "environment")
    monkeypatch.setenv("SEEMORY_COLLECTION", "environment")
    monkeypatch.setenv("SEEMORY_INDEX__WORKERS", "3")
    settings = read_settings(owner="argument", collection=None)
    assert (settings.owner, settings.collection, settings.model) == ("argument", "environment", "file")
    assert (settings.index.batch_size, settings.index.workers) == (7, 3)
    assert settings.home == tmp_path


def test_a_given_home_has_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('model = "all-minilm-l6-v2"\n')
    assert read_settings(home=tmp_path).model == "all-minilm-l6-v2"


@pytest.mark.parametrize(
    ("file", "named"),
    [("[index]\nbatch_size = 0\n", "index.batch_size"), ("owner = ''\n", "owner"), ("this is no toml", "config.toml")],
)
def test_a_wrong_setting_is_named(tmp_path: Path, file: str, named: str) -> None:
    (tmp_path / "config.toml").write_text(file)
    with pytest.raises(UsageError, match=named):
        read_settings(home=tmp_path)
