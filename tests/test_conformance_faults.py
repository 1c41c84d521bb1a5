"""Parts that break the contract in one way each, and must be found out."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from herbzoo.conformance import Report, assert_conforms, check_backbone, check_head
from herbzoo.errors import PluginError


class Sound(nn.Module):
    """A head that keeps the contract, for the faulty ones to inherit from."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, in_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.1)

    def logits(self, embeddings):
        return F.linear(embeddings, self.weight)

    def loss(self, embeddings, labels):
        return F.cross_entropy(self.logits(embeddings), labels)


class Pooled(nn.Module):
    """A backbone that keeps the contract."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.out_features = width
        self.stem = nn.Conv2d(3, width, 4, stride=4)

    def forward(self, pixel_values):
        return self.stem(pixel_values).mean(dim=(2, 3))

    def load_pretrained(self) -> None: ...

    def image_spec(self):
        return {"size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}


def failures(report: Report) -> dict[str, str]:
    return {check.name: check.detail for check in report.failures}


def test_sound_parts_pass():
    assert_conforms("heads", Sound)
    assert_conforms("backbones", Pooled, width=6)


class Nameless(Sound):
    def __init__(self, in_features: int, num_classes: int, **options) -> None:
        super().__init__(in_features, num_classes)


class Unspoken(Sound):
    def __init__(self, in_features: int, num_classes: int, dtype=torch.float32) -> None:
        super().__init__(in_features, num_classes)


class Downloading(Sound):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        with suppress(OSError):  # even one that copes without the network
            socket.create_connection(("weights.invalid", 443), timeout=1)


class Seeding(Sound):
    def reset_parameters(self) -> None:
        torch.manual_seed(42)
        super().reset_parameters()


class NumpySeeding(Sound):
    def reset_parameters(self) -> None:
        np.random.seed(42)
        random.seed(42)
        super().reset_parameters()


class Lossless(nn.Linear):
    def logits(self, embeddings):
        return self(embeddings)


class Transposed(Sound):
    def logits(self, embeddings):
        return F.linear(self.weight, embeddings)

    def loss(self, embeddings, labels):
        return F.cross_entropy(self.logits(embeddings).T, labels)


class Sociable(Sound):
    def logits(self, embeddings):
        return F.linear(embeddings - embeddings.mean(dim=0), self.weight)


class Moody(Sound):
    def logits(self, embeddings):
        return super().logits(embeddings) * (2 if self.training else 1)


class Forgetful(Sound):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def logits(self, embeddings):
        return super().logits(embeddings) + self.bias


class Idle(Sound):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        self.unused = nn.Linear(2, 2)


class Climbing(Sound):
    def loss(self, embeddings, labels):
        return -super().loss(embeddings, labels)


class Tabular(Sound):
    def loss(self, embeddings, labels):
        return F.cross_entropy(self.logits(embeddings), labels, reduction="none")


class Naive(Sound):
    """A cosine whose gradient at zero is no number."""

    def logits(self, embeddings):
        return F.linear(embeddings / embeddings.norm(dim=-1, keepdim=True), self.weight)


class Exploding(Sound):
    def loss(self, embeddings, labels):
        return self.logits(embeddings).exp().sum(dim=1).log().mean()


class Tied(Sound):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        self.register_buffer("mirror", self.weight.detach())


class Stateful(Sound):
    def get_extra_state(self):
        return {"not": "a tensor"}

    def set_extra_state(self, state) -> None: ...


class Volatile(Sound):
    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        self.register_buffer("prior", torch.ones(num_classes), persistent=False)

    def logits(self, embeddings):
        return super().logits(embeddings) + self.prior


class Stubborn(Sound):
    """Reads labels and stays at the first number of classes."""

    def prepare(self, labels) -> None: ...

    def refresh(self) -> None: ...


class Drifting(Sound):
    def prepare(self, labels) -> None:
        weight = torch.arange(len(labels.names) * self.weight.shape[1], dtype=torch.float32)
        self.weight = nn.Parameter(weight.view(len(labels.names), -1) / len(weight))

    def refresh(self) -> None:
        with torch.no_grad():
            self.weight.mul_(1.1)


class Furtive(Sound):
    """Has sparse gradients and tells nobody."""

    def loss(self, embeddings, labels):
        rows = F.embedding(torch.arange(len(self.weight)), self.weight, sparse=True)
        return F.cross_entropy(F.linear(embeddings, rows), labels)


class Boastful(Sound):
    def sparse_parameters(self) -> list[str]:
        return ["weight"]


class Mistaken(Furtive):
    def sparse_parameters(self) -> list[str]:
        return ["wieght"]


@pytest.mark.parametrize(
    ("head", "check", "detail"),
    [
        (Nameless, "spells out its options", "options"),
        (Unspoken, "spells out its options", "JSON"),
        (Downloading, "constructs without network", "weights.invalid"),
        (Seeding, "seeds no global generator", "torch"),
        (NumpySeeding, "seeds no global generator", "numpy and random"),
        (Lossless, "offers what a head must", "loss"),
        (Transposed, "gives finite scores without labels", "3 embeddings and 5 classes"),
        (Sociable, "answers each item alone in eval", "differ by"),
        (Moody, "differs in training only by dropout and norm", "differ by"),
        (Forgetful, "resets every parameter", "bias"),
        (Idle, "sends gradients to every parameter", "unused.weight, unused.bias"),
        (Furtive, "names its sparse gradients", "names none, but sparse are"),
        (Boastful, "names its sparse gradients", "gradients of none"),
        (Mistaken, "names its sparse gradients", "wieght"),
        (Climbing, "learns a separable batch", "top-1 0.00 after 30 steps"),
        (Tabular, "loss is finite for a single item", "must be a scalar"),
        (Naive, "loss is finite for embeddings of zeros", "not finite"),
        (Exploding, "loss is finite for embeddings of huge norm", "not finite"),
        (Tied, "saves to safetensors and comes back", "share memory"),
        (Stateful, "saves to safetensors and comes back", ""),
        (Volatile, "loads through the meta device", "prior"),
        (Stubborn, "prepares for other names", "3 classes"),
        (Drifting, "refreshes to the same scores", "refresh"),
    ],
)
def test_a_faulty_head_is_found_out(head: type, check: str, detail: str):
    found = failures(check_head(head))
    assert check in found
    assert detail in found[check]


class Widthless(Pooled):
    def forward(self, pixel_values):
        return self.stem(pixel_values).mean(dim=2).flatten(1)


class Sightless(Pooled):
    def image_spec(self):
        return {"size": 0, "mean": [0.5] * 3, "std": [0.5, 0.5, 0.0], "interpolation": "cubic"}


class Speechless(Pooled):
    def image_spec(self):
        return {"size": 16}


class Countless(Pooled):
    def forward(self, pixel_values):
        return super().forward(pixel_values) / 0


class Detached(Pooled):
    def __init__(self, width: int = 4) -> None:
        super().__init__(width)
        self.last = nn.Linear(width, width)

    def forward(self, pixel_values):
        return self.last(super().forward(pixel_values).detach())


class Remote(Pooled):
    def __init__(self, width: int = 4) -> None:
        super().__init__(width)
        self.grid = torch.ones(width)  # a plain tensor: to() and to_empty() do not know it

    def forward(self, pixel_values):
        return super().forward(pixel_values) * self.grid


@pytest.mark.parametrize(
    ("backbone", "check", "detail"),
    [
        (nn.Identity, "spells out its options", "*args, *kwargs"),
        (Widthless, "maps images to out features on meta", "out_features is 4"),
        (Sightless, "says which images it wants", "interpolation 'cubic'"),
        (Speechless, "says which images it wants", "lacks 'mean'"),
        (Countless, "gives finite features", "not finite"),
        (Detached, "sends gradients to every parameter", "stem.weight, stem.bias"),
        (Remote, "loads through the meta device", "meta"),
    ],
)
def test_a_faulty_backbone_is_found_out(backbone: type, check: str, detail: str):
    found = failures(check_backbone(backbone))
    assert check in found
    assert detail in found[check]


def test_an_essential_failure_ends_the_run():
    report = check_head(Lossless)
    assert [check.passed for check in report.checks].count(False) == 1
    assert not report.checks[-1].passed


def test_assert_conforms_shows_the_whole_report():
    with pytest.raises(AssertionError, match=r"FAILED +resets every parameter: .*bias"):
        assert_conforms("heads", Forgetful)


def test_an_option_that_does_not_exist_is_the_users_mistake():
    with pytest.raises(PluginError, match="no option 'heigth'; it has width"):
        check_backbone(Pooled, heigth=3)


def test_the_kit_leaves_the_random_generators_as_they_were():
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    expected = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    check_head(NumpySeeding)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected
