from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from kascade.nets.cag import CAG, CLEAN_LABEL, PSEUDO_LABEL, DegradationClassifier, cross_attention_gradient
from kascade.nets.restormer import Restormer
from kascade.physics import Encoding
from kascade.unroll import UnrolledSENSE, as_prior

SMALL = {"width": 8, "blocks": (1, 2, 1, 1), "heads": (1, 2, 2, 4)}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def small_cag(**options: object) -> CAG:
    return CAG(3, 3, refinement=1, **{**SMALL, **options})  # type: ignore[arg-type]


def by_hand(classifier: DegradationClassifier, x: Tensor, labels: Tensor, drop: float) -> Tensor:
    """The equation, block by block, with hooks instead of the encoder's own record."""
    blocks = classifier.encoder.blocks
    inputs: list[Tensor] = []
    handles = [b.register_forward_pre_hook(lambda m, args: inputs.append(args[0])) for b in blocks]
    for block in blocks:
        block.attention.keep_attention = True
    (classifier(x.clone().requires_grad_()) * labels).sum().backward(inputs=inputs)
    total = torch.zeros(x.shape[0], 1, *x.shape[-2:])
    for block, features in zip(blocks, inputs, strict=True):
        heads = block.attention.heads
        for n in range(len(x)):
            gradient = features.grad[n].reshape(heads, -1, features[0, 0].numel())
            mixed = torch.stack([block.attention.attention[n, h] @ gradient[h] for h in range(heads)])
            layer = mixed.mean(0).mean(0).clamp(min=0)
            threshold = layer.sort(descending=True).values[int((1 - drop) * layer.numel() + 1e-6) - 1]
            layer = torch.where(layer >= threshold, layer, 0).reshape(1, 1, *features.shape[-2:])
            layer = layer / layer.max()
            total[n] += nn.functional.interpolate(layer, x.shape[-2:], mode="bilinear")[0]
    for handle in handles:
        handle.remove()
    for block in blocks:
        block.attention.keep_attention = False
    return total / total.amax((-2, -1), keepdim=True)


def test_the_explanation_is_that_of_the_equation() -> None:
    classifier = DegradationClassifier(**SMALL)
    x, labels = torch.randn(2, 3, 32, 40), torch.tensor([1.0, 0, 1, 0])
    explanation = cross_attention_gradient(classifier, x, labels)
    torch.testing.assert_close(explanation, by_hand(classifier, x, labels, 0.9), atol=1e-4, rtol=1e-3)
    assert explanation.shape == (2, 1, 32, 40) and not explanation.requires_grad
    assert float(explanation.min()) >= 0 and explanation.amax((1, 2, 3)).tolist() == [1, 1]


def test_the_explanation_depends_on_the_label_the_options_and_each_image_alone() -> None:
    classifier = DegradationClassifier(**SMALL)
    x = torch.randn(2, 3, 32, 32)

    def explain(labels: tuple[float, ...], images: Tensor = x, **options: object) -> Tensor:
        return cross_attention_gradient(classifier, images, torch.tensor(labels), **options)  # type: ignore[arg-type]

    plain = explain(PSEUDO_LABEL)
    torch.testing.assert_close(plain[:1], explain(PSEUDO_LABEL, x[:1]), atol=1e-4, rtol=1e-3)
    others = [
        explain(CLEAN_LABEL),
        explain(PSEUDO_LABEL, drop=0.0),
        explain(PSEUDO_LABEL, times_input=True),
        explain(PSEUDO_LABEL, equal_layers=False),
    ]
    assert all(float((plain - other).abs().max()) > 0.05 for other in others)


@pytest.mark.parametrize("drop", [0.9, 0.5])
def test_each_layer_keeps_only_its_largest_pixels(drop: float) -> None:
    classifier = DegradationClassifier(width=8, blocks=(1, 0, 0, 0), heads=(1, 2, 2, 4))  # full resolution only
    explanation = cross_attention_gradient(classifier, torch.randn(3, 3, 40, 40), torch.tensor(PSEUDO_LABEL), drop)
    shares = (explanation > 0).float().mean((1, 2, 3))
    assert bool((shares <= 1 - drop + 1e-6).all()) and bool((shares > 0).all())


def test_explaining_leaves_no_trace_and_works_where_gradients_are_off() -> None:
    net = small_cag().eval()
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        quiet = net(x)
    with torch.inference_mode():
        inference = net(x.clone())
    torch.testing.assert_close(quiet, inference)
    assert all(p.grad is None for p in net.parameters())
    assert all(b.attention.attention is None for b in net.classifier.encoder.blocks)
    copy.deepcopy(net)


def test_at_first_the_guide_does_nothing_and_then_learns() -> None:
    net = small_cag()
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(net(x), net.restorer(x))
    net(x).square().mean().backward()
    assert net.restorer.guidance is not None and bool((net.restorer.guidance.grad != 0).all())
    with torch.no_grad():
        net.restorer.guidance.fill_(1.0)
    assert not torch.allclose(net(x), net.restorer(x), atol=1e-3)
    assert small_cag(explain=False).restorer.guidance is None


def test_the_classifier_is_not_trained_but_lets_gradients_through() -> None:
    net = small_cag()
    out = net(torch.randn(1, 3, 32, 32))
    net.classifier(out).sum().backward()
    assert all(p.grad is None for p in net.classifier.parameters())
    assert any(p.grad is not None and p.grad.any() for p in net.restorer.parameters())


def test_the_classifier_starts_and_follows_as_told() -> None:
    net, classifier = small_cag(), DegradationClassifier(**SMALL)
    net.start_from(classifier)
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(net.classifier(x), classifier(x))
    first = net.classifier.encoder.embed.weight.clone()
    torch.testing.assert_close(net.restorer.encoder.embed.weight, first)
    with torch.no_grad():
        net.restorer.encoder.embed.weight.add_(1.0)
    head = net.classifier.head.weight.clone()
    for _ in range(2):
        net.follow(0.9)
    torch.testing.assert_close(net.classifier.encoder.embed.weight, first + 1 - 0.9**2)
    assert torch.equal(net.classifier.head.weight, head)


def test_paper_sizes() -> None:
    with torch.device("meta"):
        net = CAG(3, 3)
        assert len(net.classifier.encoder.blocks) == 24
        plain = sum(p.numel() for p in Restormer(3, 3).parameters())
        assert sum(p.numel() for p in net.restorer.parameters()) == plain + 3


def test_it_is_a_prior_of_a_cascade_that_trains() -> None:
    model = UnrolledSENSE(as_prior(CAG(2, 2, refinement=1, **SMALL)), iterations=2)  # type: ignore[arg-type]
    maps = torch.randn(4, 24, 20, dtype=torch.complex64)
    maps = maps / maps.abs().square().sum(0).sqrt()
    mask = torch.zeros(20)
    mask[::2] = 1
    image = torch.randn(24, 20, dtype=torch.complex64)
    E = Encoding(maps, mask)
    y = E(image)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 2e-3)
    losses = []
    for _ in range(12):
        loss = (model(E, y).image - image).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
