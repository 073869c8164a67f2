from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from seemory.alignment.losses import Contrast, backward_in_chunks, info_nce, prefixes, sigmoid  # noqa: E402


def unit(rows: int, width: int, seed: int = 0) -> torch.Tensor:
    return nn.functional.normalize(torch.randn(rows, width, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_info_nce_by_its_definition():
    first, second = unit(5, 4), unit(5, 4, 1)
    logits = 7 * first.numpy() @ second.numpy().T
    rows = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    columns = np.exp(logits) / np.exp(logits).sum(0, keepdims=True)
    wanted = -(np.log(np.diag(rows)).mean() + np.log(np.diag(columns)).mean()) / 2
    assert float(info_nce(first, second, 7.0)) == pytest.approx(wanted, rel=1e-5)


def test_sigmoid_by_its_definition():
    first, second = unit(5, 4), unit(5, 4, 1)
    logits = 7 * first.numpy() @ second.numpy().T - 2
    signs = 2 * np.eye(5) - 1
    wanted = np.log1p(np.exp(-signs * logits)).sum() / 5
    assert float(sigmoid(first, second, 7.0, -2.0)) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("widths", [(), (32, 16, 8)])
@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0])
def test_collapsed_embeddings_give_ln_of_the_batch_at_any_width_and_temperature(widths, temperature):
    same = torch.ones(64, 32)
    value = Contrast(temperature=temperature, widths=widths)(same, 3 * same)
    assert float(value.detach()) == pytest.approx(math.log(64), rel=1e-5)


def test_prefixes_are_of_norm_one_after_the_cut():
    vectors = torch.randn(3, 8, dtype=torch.bfloat16)
    for width, cut in zip((8, 5, 1), prefixes(vectors, (8, 5, 1)), strict=True):
        assert cut.shape == (3, width)
        assert cut.dtype == torch.float32
        torch.testing.assert_close(cut.norm(dim=1), torch.ones(3))
        torch.testing.assert_close(cut, nn.functional.normalize(vectors[:, :width].float(), dim=1))


def test_all_widths_are_the_mean_of_one_width_a_step():
    first, second = torch.randn(6, 8), torch.randn(6, 8)
    together = Contrast(widths=(8, 4, 2), weights=(1, 2, 1))(first, second)
    alone = Contrast(widths=(8, 4, 2), weights=(1, 2, 1), matryoshka="one")
    each = [float(alone(first, second, drawn=drawn).detach()) for drawn in (0.0, 0.25, 0.74, 0.75)]
    assert each[1] == each[2]
    assert (each[0] + 2 * each[1] + each[3]) / 4 == pytest.approx(float(together.detach()), rel=1e-5)


def test_the_temperature_is_learned_or_fixed_and_never_too_cold():
    assert Contrast(learned=True).log_scale.requires_grad
    assert not Contrast(learned=False).log_scale.requires_grad
    contrast = Contrast(temperature=0.05)
    assert float(contrast.scale.detach()) == pytest.approx(20)
    with torch.no_grad():
        contrast.log_scale.fill_(20.0)
    assert float(contrast.scale.detach()) == 100


@pytest.mark.parametrize("kind", ["infonce", "sigmoid"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_by_chunks_are_those_of_the_whole_batch(kind, dropout):
    """Float64, so that what differs would be a mistake and not rounding."""
    torch.manual_seed(0)
    pictures, texts = torch.randn(12, 6).double(), torch.randn(12, 5).double()
    left = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 8)).double()
    right = nn.Linear(5, 8).double()
    contrast = Contrast(kind, widths=(8, 4)).double()
    parameters = [*left.parameters(), *right.parameters(), *contrast.parameters()]

    def gradients(chunks: int) -> tuple[float, list[torch.Tensor]]:
        for parameter in parameters:
            parameter.grad = None
        size = 12 // chunks

        def encode(number: int) -> tuple[torch.Tensor, torch.Tensor]:
            if dropout:  # the whole batch has to draw what the chunks draw
                torch.manual_seed(5 + number)
            part = slice(number * size, (number + 1) * size)
            return left(pictures[part]), right(texts[part])

        def whole(_: int) -> tuple[torch.Tensor, torch.Tensor]:
            parts = [encode(number) for number in range(chunks)]
            return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

        value, seen, _ = backward_in_chunks(encode, chunks, contrast)
        cached = [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]
        for parameter in parameters:
            parameter.grad = None
        full, seen_whole, _ = backward_in_chunks(whole, 1, contrast)
        torch.testing.assert_close(value, full)
        torch.testing.assert_close(seen, seen_whole)
        direct = [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]
        assert len(cached) == len(direct) == len(parameters)
        for one, other in zip(cached, direct, strict=True):
            torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-9)
        return float(value), cached

    by_four, three = gradients(4), gradients(3)
    if not dropout:
        assert by_four[0] == pytest.approx(three[0])


def test_a_chunk_draws_the_same_twice_and_the_next_step_something_else():
    torch.manual_seed(0)
    drop, weight = nn.Dropout(0.5), nn.Parameter(torch.ones(8, 8))
    drawn: list[list[torch.Tensor]] = []

    def encode(_: int) -> tuple[torch.Tensor, torch.Tensor]:
        made = drop(torch.eye(8)) @ weight
        drawn[-1].append(made.detach().clone())
        return made, torch.eye(8)

    for _ in range(2):
        drawn.append([])
        backward_in_chunks(encode, 2, lambda first, second: info_nce(first, second, 1.0))
    for first, second, again, once_more in drawn:
        assert torch.equal(first, again)
        assert torch.equal(second, once_more)
        assert not torch.equal(first, second)
    assert not torch.equal(drawn[0][0], drawn[1][0])
