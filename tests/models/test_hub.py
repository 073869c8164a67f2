"""The hub against a real HTTP server on this machine: whole folders, resumed, verified, nothing else on the network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hub_server import COMMIT, Hub
from onnx import TensorProto, helper, numpy_helper

from seemory.errors import ModelCorrupt, ModelError, ModelNotFound, ModelUnavailable, UsageError
from seemory.models.catalog import ModelFile, ModelSpec
from seemory.models.hub import MANIFEST, answers, damaged, is_complete, pull
from seemory.models.hub.listing import wanted
from seemory.models.hub.transfer import Patience
from seemory.telemetry import Progress

QUICK = Patience(attempts=3, first_pause_s=0.02, connect_s=2.0, silence_s=0.5, listing_s=2.0)
WEIGHTS = "visual/model.onnx"


def linear_graph(width: int, seed: int) -> bytes:
    """A real ONNX model: `(n, width)` times a random matrix."""
    matrix = np.random.default_rng(seed).normal(size=(width, 512)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["image", "matrix"], ["embedding"])],
        "tower",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 512])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def folder_files() -> dict[str, bytes]:
    large = linear_graph(512, 1)
    onnx.checker.check_model(onnx.load_model_from_string(large))
    return {
        ".gitattributes": b"*.onnx filter=lfs\n",
        "README.md": b"# a tiny model\n",
        "config.json": json.dumps({"embed_dim": 512}).encode(),
        WEIGHTS: large,
        "visual/preprocess_cfg.json": b'{"size": [224, 224]}',
        "visual/model.armnn": b"a" * 5000,
        "visual/fp16/model.onnx": b"h" * 5000,
        "visual/rknpu/rk3588/model.rknn": b"r" * 5000,
        "textual/model.onnx": linear_graph(64, 2),
        "textual/onnx__MatMul_123": b"t" * 6000,
        "textual/tokenizer.json": b"{}",
        "textual/tokenizer_config.json": b'{"pad_token": "!"}',
    }


@pytest.fixture
def hub(folder_files: dict[str, bytes]) -> Iterator[Hub]:
    with Hub(dict(folder_files)) as server:
        yield server


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own hub settings must not decide over a test."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def spec(**changes: object) -> ModelSpec:
    values: dict[str, object] = {"name": "tiny", "family": "clip", "dim": 512, "towers": ("image", "text")}
    values |= {"repo": "anna/tiny-clip", "revision": COMMIT, "layout": "immich"}
    return ModelSpec(**(values | changes))  # type: ignore[arg-type]


def bring(hub: Hub, home: Path, model: ModelSpec | None = None, **more: object) -> Path:
    return pull(model or spec(), home=home, endpoint=hub.url, patience=QUICK, **more)  # type: ignore[arg-type]


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def leftovers(home: Path) -> set[str]:
    return {name for name in files_of(home / "models" / ".incoming") if not name.endswith(".lock")}


def test_brings_the_layouts_files_and_no_others(hub: Hub, tmp_path: Path) -> None:
    heard: list[Progress] = []
    folder = bring(hub, tmp_path, listen=heard.append)
    assert folder == tmp_path / "models" / "tiny"
    assert files_of(folder) == {
        MANIFEST,
        "config.json",
        "visual/model.onnx",
        "visual/preprocess_cfg.json",
        "textual/model.onnx",
        "textual/onnx__MatMul_123",
        "textual/tokenizer.json",
        "textual/tokenizer_config.json",
    }
    for name in files_of(folder) - {MANIFEST}:
        assert (folder / name).read_bytes() == hub.files[name]
        assert not (folder / name).is_symlink()
    session = onnxruntime.InferenceSession(folder / WEIGHTS, providers=["CPUExecutionProvider"])
    assert session.run(None, {"image": np.ones((2, 512), np.float32)})[0].shape == (2, 512)
    assert leftovers(tmp_path) == set()
    assert damaged(folder) == []
    done = [one.done for one in heard]
    assert done == sorted(done)
    assert done[-1] == heard[-1].total == sum(len(hub.files[name]) for name in files_of(folder) - {MANIFEST})
    assert {one.unit for one in heard} == {"bytes"}


def test_a_complete_folder_asks_nobody(hub: Hub, tmp_path: Path) -> None:
    folder = bring(hub, tmp_path)
    hub.seen.clear()
    assert bring(hub, tmp_path) == folder
    assert pull(spec(), home=tmp_path, offline=True) == folder
    assert hub.seen == []


def test_completeness_sees_missing_and_cut_files_and_other_revisions(hub: Hub, tmp_path: Path) -> None:
    folder = bring(hub, tmp_path)
    assert is_complete(spec(), folder)
    assert not is_complete(spec(revision="main"), folder)
    assert not is_complete(spec(repo="bob/other"), folder)
    assert not is_complete(spec(), tmp_path / "nowhere")
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(100)
    assert not is_complete(spec(), folder)
    assert damaged(folder) == [WEIGHTS]
    hub.seen.clear()
    assert is_complete(spec(), bring(hub, tmp_path))
    assert len(hub.bodies(WEIGHTS)) == 1
    assert hub.bodies("textual/model.onnx") == []  # still good: copied, not fetched again
    assert damaged(folder) == []


def test_a_flipped_bit_on_disk_is_found_by_the_full_check(hub: Hub, tmp_path: Path) -> None:
    folder = bring(hub, tmp_path)
    with (folder / WEIGHTS).open("r+b") as file:
        file.seek(5000)
        file.write(b"\0\1\2\3")
    assert is_complete(spec(), folder)
    assert damaged(folder) == [WEIGHTS]
    with pytest.raises(ModelCorrupt, match="was not pulled"):
        damaged(tmp_path)


def test_a_cut_connection_is_carried_on_within_one_call(hub: Hub, tmp_path: Path) -> None:
    hub.cuts[WEIGHTS] = [300_000, 200_000]
    folder = bring(hub, tmp_path)
    assert [one.start for one in hub.bodies(WEIGHTS)] == [0, 300_000, 500_000]
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_the_next_call_carries_on_what_the_last_one_left(hub: Hub, tmp_path: Path) -> None:
    hub.cuts[WEIGHTS] = [300_000, 0, 0, 0]
    with pytest.raises(ModelUnavailable, match="300,000 of"):
        bring(hub, tmp_path)
    assert not (tmp_path / "models" / "tiny").exists()
    hub.seen.clear()
    bring(hub, tmp_path)
    assert [one.start for one in hub.bodies(WEIGHTS)] == [300_000]
    assert hub.bodies("textual/tokenizer.json") == []


def test_a_server_that_always_cuts_is_given_up_or_outlasted(hub: Hub, tmp_path: Path) -> None:
    hub.always_cut = 100_000  # with Range there is progress each time, so it ends well
    bring(hub, tmp_path)
    assert len(hub.bodies(WEIGHTS)) == -(-len(hub.files[WEIGHTS]) // 100_000)
    hub.ignore_range = True  # without, the same bytes come again and again
    hub.seen.clear()
    with pytest.raises(ModelUnavailable, match="the same command carries on"):
        bring(hub, tmp_path / "other")
    assert len(hub.bodies(WEIGHTS)) <= 1 + QUICK.attempts


def test_a_server_without_ranges_starts_again_from_the_first_byte(hub: Hub, tmp_path: Path) -> None:
    hub.ignore_range = True
    hub.cuts[WEIGHTS] = [300_000]
    folder = bring(hub, tmp_path)
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_a_file_corrupted_once_is_fetched_again(hub: Hub, tmp_path: Path) -> None:
    hub.corrupt = {WEIGHTS: 1, "config.json": 1}  # an LFS file by sha256, a small one by its git blob id
    folder = bring(hub, tmp_path)
    assert len(hub.bodies(WEIGHTS)) == len(hub.bodies("config.json")) == 2
    assert damaged(folder) == []


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_file_corrupted_always_is_refused_and_not_kept(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.corrupt = {name: 99}
    with pytest.raises(ModelCorrupt, match="twice with the wrong checksum"):
        bring(hub, tmp_path)
    assert not (tmp_path / "models" / "tiny").exists()
    assert not any(name in left for left in leftovers(tmp_path))
    assert len(hub.bodies(name)) == 2
    hub.corrupt.clear()
    assert is_complete(spec(), bring(hub, tmp_path))


def test_a_wrong_partial_file_is_replaced(hub: Hub, tmp_path: Path) -> None:
    part = tmp_path / "models" / ".incoming" / f"tiny@{COMMIT[:12]}" / f"{WEIGHTS}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"z" * 1000)
    assert damaged(bring(hub, tmp_path)) == []
    assert [one.start for one in hub.bodies(WEIGHTS)] == [1000, 0]


def test_the_catalogues_checksum_outranks_the_hub(hub: Hub, tmp_path: Path) -> None:
    model = spec(files=(ModelFile(WEIGHTS, sha256="0" * 64),))
    with pytest.raises(ModelCorrupt, match="not the file that the catalogue pins"):
        bring(hub, tmp_path, model)
    with pytest.raises(ModelCorrupt, match="wrong checksum"):
        bring(hub, tmp_path, spec(files=(ModelFile("config.json", sha256="0" * 64),)))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"revision": "v9"}, ModelNotFound, "no revision 'v9'"),
        ({"repo": "anna/nothing"}, ModelNotFound, "no repository anna/nothing"),
        ({"repo": None}, ModelNotFound, "no hub has it"),
        ({"layout": "sentence-transformers"}, ModelCorrupt, "has no onnx/model.onnx"),
    ],
)
def test_what_the_hub_does_not_have(
    hub: Hub, tmp_path: Path, changes: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        bring(hub, tmp_path, spec(**changes))
    assert not (tmp_path / "models" / "tiny").exists()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, ModelUnavailable, "private or does not exist"),
        (403, ModelUnavailable, "ask for access"),
        (404, ModelNotFound, "no repository"),
        (500, ModelUnavailable, "answered 500"),
        (503, ModelUnavailable, "answered 503"),
    ],
)
def test_refusals_are_told_apart(hub: Hub, tmp_path: Path, status: int, error: type[Exception], words: str) -> None:
    hub.always = ("/api/models/", status)
    with pytest.raises(error, match=words):
        bring(hub, tmp_path)
    asked = len(hub.seen)
    assert asked == (QUICK.attempts if status >= 500 else 1)


def test_a_passing_fault_is_waited_out(hub: Hub, tmp_path: Path) -> None:
    hub.statuses = [("/api/models/", 503, {"Retry-After": "0"}), ("/storage/", 500, {}), ("/storage/", 429, {})]
    assert is_complete(spec(), bring(hub, tmp_path))


def test_a_file_that_is_refused_says_so(hub: Hub, tmp_path: Path) -> None:
    hub.always = ("/resolve/", 403)
    with pytest.raises(ModelUnavailable, match="answered 403: ask for access"):
        bring(hub, tmp_path)


def test_a_hanging_hub_is_given_up_in_time(hub: Hub, tmp_path: Path) -> None:
    hub.hang_s = 30
    begin = time.monotonic()
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        bring(hub, tmp_path)
    assert time.monotonic() - begin < 5


def test_no_network_is_exit_code_three(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(ModelUnavailable, match="cannot be reached") as caught:
        pull(spec(), home=tmp_path, endpoint="http://127.0.0.1:9", patience=QUICK)
    assert caught.value.exit_code == 3
    assert time.monotonic() - begin < 5
    with pytest.raises(UsageError, match="http"):
        pull(spec(), home=tmp_path, endpoint="ftp://127.0.0.1")


def test_answers_is_bounded_whatever_happens(hub: Hub) -> None:
    assert answers(spec(), endpoint=hub.url)
    assert not answers(spec(repo="anna/nothing"), endpoint=hub.url)
    assert not answers(spec(repo=None), endpoint=hub.url)
    assert not answers(spec(), endpoint="http://127.0.0.1:9")
    for fault in ({"hang_s": 10.0}, {"drip": True}):  # silence, and a server that never ends its first line
        with Hub(hub.files, **fault) as bad:  # type: ignore[arg-type]
            begin = time.monotonic()
            assert not answers(spec(), timeout_s=2.0, endpoint=bad.url)
            assert time.monotonic() - begin < 2.3


def test_offline_says_what_to_do(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelUnavailable, match="seemory models pull tiny"):
        bring(hub, tmp_path, offline=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelUnavailable, match="unset HF_HUB_OFFLINE"):
        bring(hub, tmp_path)
    assert not answers(spec(), endpoint=hub.url)
    assert hub.seen == []


@pytest.mark.parametrize("name", ["../../x.json", "/etc/x", "visual/../../x", "..\\x", "textual/..\\..\\x.json"])
def test_names_outside_the_folder_are_refused(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.extra_names = [name]
    with pytest.raises(ModelCorrupt, match="outside its own folder"):
        bring(hub, tmp_path)
    assert files_of(tmp_path) <= {"models/.incoming/tiny.lock"}


@pytest.mark.parametrize("name", ["visual/a:b", "textual/a\nb", "visual/a|b"])
def test_names_that_some_disks_cannot_hold_are_refused(hub: Hub, tmp_path: Path, name: str) -> None:
    hub.extra_names = [name]
    with pytest.raises(ModelCorrupt, match="no disk should hold"):
        bring(hub, tmp_path)


def test_a_page_that_is_no_hub(hub: Hub, tmp_path: Path) -> None:
    hub.always = ("/api/models/", 200)
    with pytest.raises(ModelCorrupt, match="is it a model hub"):
        bring(hub, tmp_path)


def test_a_folder_of_the_persons_own_is_left_alone(hub: Hub, tmp_path: Path) -> None:
    own = tmp_path / "models" / "tiny"
    own.mkdir(parents=True)
    (own / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="move it away"):
        bring(hub, tmp_path)
    assert (own / "notes.txt").read_text() == "mine"


def test_a_new_revision_replaces_the_folder(hub: Hub, tmp_path: Path) -> None:
    bring(hub, tmp_path)
    hub.files["config.json"] = b'{"embed_dim": 512, "newer": true}'
    folder = bring(hub, tmp_path, spec(revision="main"))
    assert b"newer" in (folder / "config.json").read_bytes()
    assert leftovers(tmp_path) == set()


def test_a_disk_too_small_is_known_before_the_first_byte(hub: Hub, tmp_path: Path) -> None:
    hub.lie_about_size = {WEIGHTS: 10**16}
    with pytest.raises(ModelError, match="no room for tiny"):
        bring(hub, tmp_path)
    assert hub.bodies("config.json") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_disk_that_fills_up_says_where(hub: Hub, tmp_path: Path) -> None:
    part = tmp_path / "models" / ".incoming" / f"tiny@{COMMIT[:12]}" / f"{WEIGHTS}.part"
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(ModelError, match="no room left under"):
        bring(hub, tmp_path)


def test_two_pulls_at_once_fetch_each_file_once(hub: Hub, tmp_path: Path) -> None:
    hub.bytes_per_s = 1_500_000
    code = textwrap.dedent(f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_hub import pull, spec
        print(pull(spec(), home=Path({str(tmp_path)!r}), endpoint={hub.url!r}))
    """)
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].decode().strip() for process in both] == [
        str(tmp_path / "models" / "tiny")
    ] * 2
    assert len(hub.bodies(WEIGHTS)) == 1
    assert is_complete(spec(), tmp_path / "models" / "tiny")


def test_threads_of_one_process_take_turns_too(hub: Hub, tmp_path: Path) -> None:
    threads = [threading.Thread(target=bring, args=(hub, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(hub.bodies(WEIGHTS)) == 1


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is not Windows's")
def test_a_killed_process_leaves_a_partial_file_that_is_carried_on(hub: Hub, tmp_path: Path) -> None:
    hub.bytes_per_s = 400_000
    code = textwrap.dedent(f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_hub import pull, spec
        pull(spec(), home=Path({str(tmp_path)!r}), endpoint={hub.url!r})
    """)
    process = subprocess.Popen([sys.executable, "-c", code])
    part = tmp_path / "models" / ".incoming" / f"tiny@{COMMIT[:12]}" / f"{WEIGHTS}.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 200_000):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have = part.stat().st_size
    assert have < len(hub.files[WEIGHTS])
    assert not (tmp_path / "models" / "tiny").exists()
    hub.bytes_per_s = None
    hub.seen.clear()
    assert damaged(bring(hub, tmp_path)) == []
    assert [one.start for one in hub.bodies(WEIGHTS)] == [have]


def test_no_request_goes_anywhere_else_and_the_token_stays_with_the_hub(hub: Hub, tmp_path: Path) -> None:
    """In a process of its own, with every connection and name look-up that Python makes written down."""
    hub.token = "hf_secret"
    code = textwrap.dedent(f"""
        import sys
        hosts = set()
        def hook(event, args):
            if event == "socket.connect": hosts.add(args[1][0])
            if event == "socket.getaddrinfo": hosts.add(args[0].decode() if isinstance(args[0], bytes) else args[0])
        sys.addaudithook(hook)
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path
        from test_hub import answers, pull, spec, ModelUnavailable
        assert answers(spec())
        pull(spec(), home=Path({str(tmp_path)!r}))
        with_token = len(hosts)
        try: pull(spec(name="other"), home=Path({str(tmp_path)!r}), endpoint="http://localhost:{hub.port}")
        except ModelUnavailable as error: print("refused", file=sys.stderr)
        print(*sorted(map(str, hosts)))
    """)
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_secret", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"127.0.0.1", "localhost", "::1"}
    assert "refused" in done.stderr  # the other endpoint was not given the token
    assert {one.headers.get("authorization") for one in hub.seen if "/storage/" in one.path} == {None}
    assert {one.headers["user-agent"] for one in hub.seen} == {"seemory"}
    assert not (tmp_path / "hf").exists() or files_of(tmp_path / "hf") == set()


def test_the_server_speaks_the_protocol_of_the_hubs_own_client(hub: Hub, tmp_path: Path) -> None:
    """So that passing here means something: huggingface_hub's own downloader is content with the same server."""
    code = textwrap.dedent(f"""
        from huggingface_hub import snapshot_download
        print(snapshot_download("anna/tiny-clip", revision="main", local_dir={str(tmp_path / "theirs")!r}))
    """)
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    for name, content in hub.files.items():
        assert (tmp_path / "theirs" / name).read_bytes() == content


def test_wanted_files_of_the_sentence_layout() -> None:
    names = [
        "README.md",
        "config.json",
        "modules.json",
        "1_Pooling/config.json",
        "2_Normalize/config.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
        "model.safetensors",
        "pytorch_model.bin",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
        "onnx/model_O4.onnx",
        "onnx/model_qint8_avx512.onnx",
        "openvino/openvino_model.bin",
    ]
    chosen = wanted(spec(layout="sentence-transformers", towers=("text",)), names)
    assert set(chosen) == {
        "config.json",
        "modules.json",
        "1_Pooling/config.json",
        "2_Normalize/config.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
    }
    assert chosen[-2:] == ["onnx/model.onnx", "onnx/model.onnx_data"]
