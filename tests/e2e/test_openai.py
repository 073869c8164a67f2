"""`POST /v1/embeddings` asked by OpenAI's own client."""

from __future__ import annotations

import base64
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from served import Served, Start

from seemory.store.connect import open_database
from seemory.store.keys import Keys

openai = pytest.importorskip("openai")


@pytest.fixture(scope="module")
def keyed(start_served: Start, home: Path) -> tuple[Served, str]:
    with open_database(None, home=home) as database:
        secret, _ = Keys(database).create(f"openai-{uuid4().hex[:8]}", "read")
    return start_served(service__keys="required"), secret


def test_texts_and_pictures(keyed: tuple[Served, str], package_photographs: dict[str, Path]) -> None:
    served, secret = keyed
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key=secret, max_retries=0)
    (model,) = client.models.list().data
    assert model.id == "seemory-mini"
    encoder = served.memory.encoder
    cat = package_photographs["cat"].read_bytes()
    url = f"data:image/png;base64,{base64.b64encode(cat).decode()}"
    given = ["a photo of a cat", url, "a rocket"]
    answer = client.embeddings.create(model=model.id, input=given)  # the client asks for base64 by itself
    vectors = np.array([one.embedding for one in answer.data])
    assert [one.index for one in answer.data] == [0, 1, 2]
    assert vectors.shape == (3, encoder.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert np.allclose(vectors, served.memory.embed(["a photo of a cat", cat, "a rocket"]), atol=1e-3)
    assert vectors[1] @ vectors[0] > vectors[1] @ vectors[2]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == encoder.count_tokens(given[::2])
    assert answer.model == "seemory-mini"
    numbers = client.embeddings.create(
        model=model.id, input="a rocket", encoding_format="float", dimensions=encoder.dim
    )
    assert np.allclose(numbers.data[0].embedding, vectors[2], atol=1e-3)


def test_what_is_wrong_is_the_clients_own_error(keyed: tuple[Served, str]) -> None:
    served, secret = keyed
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key=secret, max_retries=0)
    stranger = client.with_options(api_key="sk-none")
    with pytest.raises(openai.AuthenticationError):
        stranger.embeddings.create(model="seemory-mini", input="x")
    with pytest.raises(openai.NotFoundError, match="seemory-mini"):
        client.embeddings.create(model="text-embedding-3-small", input="x")
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model="seemory-mini", input="x", dimensions=7)
    for wrong in ("", [], [""], [1, 2, 3], ["x"] * 257, "data:text/html,x", "data:image/png;base64,%%%"):
        with pytest.raises(openai.UnprocessableEntityError):
            client.embeddings.create(model="seemory-mini", input=wrong)
    for broken in (b"no picture", b"\x89PNG\r\n\x1a\n damaged"):
        url = f"data:image/png;base64,{base64.b64encode(broken).decode()}"
        with pytest.raises(openai.APIStatusError) as refused:
            client.embeddings.create(model="seemory-mini", input=[url])
        assert refused.value.status_code in (415, 422)
    assert client.embeddings.create(model="seemory-mini", input="file:///etc/passwd").data, "a URL is a text"
