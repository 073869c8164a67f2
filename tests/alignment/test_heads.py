from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from seemory.alignment import heads  # noqa: E402

WIDTH, OUT = 12, 20


def all_heads():
    return {
        "linear": heads.Linear(WIDTH, OUT),
        "scores": heads.ScorePooling(WIDTH, 16, OUT, front_kind="root"),
        "attention": heads.AttentionPooling(WIDTH, 8, 2, 16, OUT, front_kind="norm"),
        "perceiver": heads.Perceiver(WIDTH, 8, 2, 16, OUT, latents=3, layers=2),
        "perceiver without latent attention": heads.Perceiver(
            WIDTH, 8, 2, 16, OUT, latents=3, layers=2, latent_attention=False, latent_init="randn"
        ),
    }


@pytest.mark.parametrize("name", all_heads())
def test_shapes_and_what_is_masked_has_no_say(name):
    torch.manual_seed(0)
    head = all_heads()[name].eval()
    tokens = torch.randn(4, 7, WIDTH)
    mask = torch.ones(4, 7, dtype=torch.bool)
    mask[1, 3:] = False
    found = head(tokens, mask)
    assert found.shape == (4, OUT)
    changed = tokens.clone()
    changed[1, 3:] = 1e3
    torch.testing.assert_close(head(changed, mask), found)
    torch.testing.assert_close(head(tokens[1:2, :3]), found[1:2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(head(tokens[:, torch.randperm(7)], None), head(tokens, None), atol=1e-5, rtol=1e-5)
    head(tokens).sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_latent_attention_costs_parameters_and_can_be_left_out():
    with_, without = all_heads()["perceiver"], all_heads()["perceiver without latent attention"]
    assert heads.parameters_of(with_) > heads.parameters_of(without)


@pytest.mark.parametrize(("kind", "deviation"), [("randn", 1.0), ("small", 0.02), ("xavier", (2 / (64 + 256)) ** 0.5)])
def test_latents_begin_as_they_are_called(kind, deviation):
    torch.manual_seed(0)
    made = heads.initial_latents(kind, 64, 256)
    assert abs(float(made.std()) - deviation) < 0.02 * deviation


def test_the_first_look_does_not_depend_on_how_large_the_latents_are():
    """Pre-norm cancels the scale in what the latents ask for; it stays in the sum that they are part of."""
    torch.manual_seed(0)
    layer = heads.PerceiverLayer(8, 2, latent_attention=False, dropout=0).eval()
    latents, seen = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    asked = layer.look(layer.latent_norm(latents), layer.seen_norm(seen))
    torch.testing.assert_close(
        layer.look(layer.latent_norm(50 * latents), layer.seen_norm(seen)), asked, atol=1e-4, rtol=1e-4
    )
    assert not torch.allclose(layer(latents, seen, None), layer(50 * latents, seen, None), atol=1e-2)


def test_root_keeps_signs_and_evens_out():
    rooted = heads.Root()(torch.tensor([[[4.0, -9.0, 0.0, 1.0]]]))
    assert rooted.sign()[0, 0, :2].tolist() == [1, -1]
    assert float(rooted.norm()) == pytest.approx(2.0)  # the root of the width
    assert float(rooted[0, 0, 1] / rooted[0, 0, 0]) == pytest.approx(-1.5, rel=1e-4)


def test_ridge_is_ridge():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 9)) + 3, rng.normal(size=(40, 4))
    matrix, offset = heads.ridge(torch.from_numpy(x), torch.from_numpy(y), 2.5)
    wanted = Ridge(alpha=2.5).fit(x, y)
    np.testing.assert_allclose(matrix.numpy().T, wanted.coef_, atol=1e-5)
    np.testing.assert_allclose(offset.numpy(), wanted.intercept_, atol=1e-5)
    head = heads.fitted_linear(heads.Linear(9, 4), torch.from_numpy(x).float()[:, None], torch.from_numpy(y), 2.5)
    np.testing.assert_allclose(head(torch.from_numpy(x).float()[:, None]).detach(), wanted.predict(x), atol=1e-4)
