"""StyleSwin, its discriminator and the layers below them."""

from __future__ import annotations

import pytest
import torch

from kascade.nets.equalized import EqualizedConv2d, EqualizedLinear, PixelNorm, blur_resample
from kascade.nets.styleswin import StyleBlock, StyleSwin, resolutions, widths
from kascade.nets.swin import PatchMerging, ResidualSwinGroup
from kascade.nets.truncation import Truncation
from kascade.nets.wavelet_discriminator import WaveletDiscriminator, haar, inverse_haar
from kascade.nets.windows import WindowAttention, from_windows, to_windows


def tiny() -> StyleSwin:
    torch.manual_seed(0)
    return StyleSwin(size=16, width=8, max_width=16, latent=8, mapping_layers=2)


@torch.no_grad()
def test_equalized_layers_keep_the_variance() -> None:
    torch.manual_seed(0)
    x = torch.randn(4000, 64)
    assert float(EqualizedLinear(64, 100)(x).std()) == pytest.approx(1, abs=0.1)
    assert float(EqualizedLinear(64, 100, rate=0.01)(x).std()) == pytest.approx(1, abs=0.1)
    assert float(EqualizedConv2d(64, 32, 3)(torch.randn(4, 64, 9, 9))[..., 1:-1, 1:-1].std()) == pytest.approx(
        1, abs=0.1
    )
    torch.testing.assert_close(PixelNorm()(x).square().mean(-1), torch.ones(4000))


@pytest.mark.parametrize("up", [False, True])
def test_resampling_keeps_constants_and_ramps(up: bool) -> None:
    torch.testing.assert_close(
        blur_resample(torch.full((1, 2, 8, 8), 3.0), up), torch.full((1, 2, *((16, 16) if up else (4, 4))), 3.0)
    )
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    expected = (torch.arange(16.0) - 0.5) / 2 if up else 2 * torch.arange(4.0) + 0.5
    torch.testing.assert_close(
        blur_resample(ramp, up)[0, 0, 4 if up else 2, 2 : -2 if up else None][1:-1],
        expected[2 : -2 if up else None][1:-1],
    )


def test_windows_there_and_back() -> None:
    x = torch.randn(2, 8, 16, 3)
    cut = to_windows(x, 4)
    assert cut.shape == (16, 16, 3)
    torch.testing.assert_close(cut[1].view(4, 4, 3), x[0, :4, 4:8])
    assert torch.equal(from_windows(cut, 8, 16), x)


@pytest.mark.parametrize("shift", [0, 2])
def test_a_pixel_sees_its_window_and_nothing_else(shift: int) -> None:
    torch.manual_seed(0)
    attention = WindowAttention(4, 8, 4, 2, shift)
    qkv = torch.randn(1, 8, 8, 12, requires_grad=True)
    attention(qkv)[0, 3, 3].sum().backward()
    seen = qkv.grad.abs().sum((0, 3)) > 1e-9
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[slice(2, 6) if shift else slice(0, 4), slice(2, 6) if shift else slice(0, 4)] = True
    assert torch.equal(seen, expected)
    qkv.grad = None
    attention(qkv)[0, 0, 0].sum().backward()  # with shifted windows the corner is alone with its neighbors
    seen = qkv.grad.abs().sum((0, 3)) > 1e-9
    assert int(seen.sum()) == (4 if shift else 16) and bool(seen[0, 0])


def test_attention_equals_the_formula() -> None:
    torch.manual_seed(0)
    attention = WindowAttention(6, 4, 4, 2)
    qkv = torch.randn(1, 4, 4, 18)
    q, k, v = (t.reshape(16, 2, 3).transpose(0, 1) for t in qkv.chunk(3, -1))
    place = [(r, c) for r in range(4) for c in range(4)]
    bias = torch.stack(
        [torch.stack([attention.bias[(a[0] - b[0] + 3) * 7 + a[1] - b[1] + 3] for b in place]) for a in place]
    )
    expected = ((q @ k.mT / 3**0.5 + bias.permute(2, 0, 1)).softmax(-1) @ v).transpose(0, 1).reshape(1, 4, 4, 6)
    torch.testing.assert_close(attention(qkv), expected)


def test_sizes_and_widths() -> None:
    assert widths(256, 64, 512) == {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64}
    assert resolutions(16) == [4, 8, 16]
    for wrong in (8, 96, 0):
        with pytest.raises(ValueError, match="power of two"):
            resolutions(wrong)
    x = torch.randn(2, 8, 8, 8)
    assert ResidualSwinGroup(8, 8, 4)(x).shape == x.shape
    assert PatchMerging(8, 12)(x).shape == (2, 4, 4, 12)


def test_a_style_is_scale_and_shift_of_normalized_channels() -> None:
    torch.manual_seed(0)
    block = StyleBlock(8, 8, 4)
    x = torch.randn(3, 8, 8, 8)
    normalized = block.norm1(7 * x + 2, torch.zeros(3, 4))
    torch.testing.assert_close(normalized, block.norm1(x, torch.zeros(3, 4)), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(normalized.mean((1, 2)), torch.zeros(3, 8), atol=1e-5, rtol=0)
    assert block(x, torch.randn(3, 4)).shape == x.shape


def test_images_follow_from_numbers_and_all_parameters_learn() -> None:
    network = tiny()
    z = torch.randn(3, 8)
    images = network(z)
    assert images.shape == (3, 1, 16, 16)
    torch.testing.assert_close(network(z[1:2]), images[1:2], atol=1e-5, rtol=1e-4)
    assert float((images[0] - images[1]).detach().abs().max()) > 1e-4
    images.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())
    assert all(float(u.strength.detach()) == 0 and float(u.strength.grad.abs()) > 0 for u in network.synthesis.up)


def test_haar_is_orthonormal_and_invertible() -> None:
    x = torch.randn(2, 3, 8, 6)
    assert haar(x).shape == (2, 12, 4, 3)
    torch.testing.assert_close(inverse_haar(haar(x)), x)
    torch.testing.assert_close(haar(x).square().sum(), x.square().sum())
    torch.testing.assert_close(haar(torch.ones(1, 1, 4, 4))[:, 1:], torch.zeros(1, 3, 2, 2))


def test_the_discriminator_scores_and_has_second_derivatives() -> None:
    torch.manual_seed(0)
    network = WaveletDiscriminator(size=16, width=8, max_width=16, group=2)
    images = torch.randn(4, 1, 16, 16, requires_grad=True)
    scores = network(images)
    assert scores.shape == (4,)
    (slope,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    assert slope.shape == images.shape
    slope.square().sum().backward()
    assert all(p.grad is not None for n, p in network.named_parameters() if not n.endswith(".bias"))
    assert network(images[:3]).shape == (3,)


def test_truncation_draws_to_the_nearest_center() -> None:
    truncation = Truncation(2, count=3, psi=0.9)
    w = torch.tensor([[[1.0, 1.2], [9.0, 8.0]], [[-4.0, 0.5], [0.1, 0.0]]])
    assert torch.equal(truncation(w), w)  # no centers yet
    centers = torch.tensor([[0.0, 0.0], [10.0, 10.0], [-5.0, 0.0]])
    truncation.set_centers(centers)
    nearest = torch.tensor([[[0.0, 0.0], [10.0, 10.0]], [[-5.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(truncation(w), nearest + 0.9 * (w - nearest))
    again = Truncation(2, count=3)
    again.load_state_dict(truncation.state_dict())
    assert torch.equal(again(w), truncation(w))
    with pytest.raises(ValueError, match="expected"):
        truncation.set_centers(centers[:2])
