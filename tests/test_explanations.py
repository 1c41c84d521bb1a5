from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from sheet_zones import plain_sheet
from tiny import SIZE, TAXONOMY, WINDOWS, tiny_model
from torch import nn

from herbzoo.build import LoadedRun, build
from herbzoo.data.inputs import collect_images
from herbzoo.data.transforms import Letterbox
from herbzoo.data.zones import Zone
from herbzoo.errors import HerbzooError
from herbzoo.explanations.explainer import ON_MAP, ON_PIXELS, Explainer, explain, letterboxed
from herbzoo.explanations.explanation import zone_shares
from herbzoo.explanations.figure import in_words
from herbzoo.inference import Identifier
from herbzoo.interfaces import ImageSpec, PartSpec
from herbzoo.modeling.class_map_herbzoo import ClassMerge
from herbzoo.taxonomy import Taxonomy

RED, GREEN, BLUE = ("Acer rubrum", "Quercus alba", "Quercus rubra")
COLOURS = {RED: (255, 0, 0), GREEN: (0, 255, 0), BLUE: (0, 0, 255)}
BOXES = {RED: (8, 16, 32, 40), BLUE: (64, 32, 88, 56)}
"""Left, top, right and bottom of the patches."""


class Patches(nn.Module):
    """A backbone whose features are how much of each colour there is; a cell is 8 pixels."""

    out_features = 3

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.colours = nn.Conv2d(3, 3, 1)  # of the pixels of a channel, how they exceed the others
        self.colours.weight.data = (2 * torch.eye(3) - 1).view(3, 3, 1, 1)
        self.colours.bias.data.fill_(-0.5)
        self.cells = nn.AvgPool2d(8)
        self.last = nn.Identity()
        self.places = nn.Parameter(torch.linspace(0.5, 1.5, (SIZE // 8) ** 2))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        cells = self.cells(self.colours((pixels + 1) / 2).relu())
        if self.form == "mixing":  # what a cell counts for depends on where it is
            return (self.last(cells).flatten(2) * self.places).sum(2)
        if self.form == "channels last":
            return self.last(cells.permute(0, 2, 3, 1)).mean((1, 2))
        return self.last(cells).mean((2, 3))


class Scaled(nn.Module):
    def logits(self, embeddings: torch.Tensor) -> torch.Tensor:
        return 40 * embeddings


def identifier_of(model, processor=None, taxonomy=TAXONOMY) -> Identifier:
    return Identifier(LoadedRun(model, processor or tiny_model()[1], taxonomy, "made up"), "cpu")


def half_grey():
    """A processor that maps grey to zero."""
    processor = tiny_model()[1]
    processor.image_mean = processor.image_std = [0.5] * 3
    return processor


def knowing(form: str) -> Identifier:
    """A model that names the colour of a patch, and whose reasons are known."""
    model, _ = tiny_model()
    model.backbone, model.neck, model.head = Patches(form), nn.Identity(), Scaled()
    return identifier_of(model, half_grey())


def picture(*names: str, size=(112, 64)) -> Image.Image:
    """A grey picture, wider than high, with a patch for each name in its place."""
    image = Image.new("RGB", size, (128, 128, 128))
    for name in names:
        image.paste(COLOURS[name], BOXES[name])
    return image


def mass(explanation, box) -> float:
    left, top, right, bottom = box
    return float(explanation.heat[top:bottom, left:right].sum())


def around(box, margin=14):
    """A box with what upsampling from cells smears over its edges."""
    left, top, right, bottom = box
    return max(0, left - margin), max(0, top - margin), right + margin, bottom + margin


@pytest.fixture(scope="module", params=["channels first", "channels last", "mixing"])
def known(request) -> Identifier:
    return knowing(request.param)


def test_the_map_lies_on_the_patch_that_decides(known):
    found = explain(known, picture(RED))
    assert found.taxon.scientificName == RED
    assert found.heat.shape == (64, 112)
    assert found.heat.min() >= 0
    assert found.heat.sum() == pytest.approx(1, abs=1e-4)
    assert mass(found, around(BOXES[RED])) > 0.95
    assert mass(found, BOXES[RED]) > 0.5


@pytest.mark.parametrize("name", [RED, BLUE])
def test_another_taxon_is_looked_for_elsewhere(known, name):
    found = explain(known, picture(RED, BLUE), taxon=name)
    assert found.taxon.scientificName == name
    assert mass(found, around(BOXES[name])) > 0.9


def test_the_method_follows_from_how_the_backbone_ends():
    assert Explainer(knowing("channels first")).method == ON_MAP
    assert Explainer(knowing("channels last")).method == ON_MAP
    assert Explainer(knowing("channels first"), "pixels").method == ON_PIXELS
    mixing = knowing("mixing")
    assert Explainer(mixing).method == ON_PIXELS
    with pytest.raises(HerbzooError, match="take `pixels`"):
        Explainer(mixing, "map")
    with pytest.raises(HerbzooError, match="no method 'lime'; there are auto, map, pixels"):
        Explainer(mixing, "lime")


def test_maps_do_not_depend_on_how_a_backbone_stores_them():
    first, last = (
        explain(knowing(form), picture(RED)) for form in ("channels first", "channels last")
    )
    assert first.cells == last.cells == (8, 8)
    np.testing.assert_allclose(first.heat, last.heat, atol=1e-7)


def test_deleting_the_map_costs_more_than_deleting_as_much_elsewhere(known):
    image = picture(RED)
    found = explain(known, image)
    order = np.argsort(found.heat, axis=None)
    pixels = np.asarray(image)
    scores = []
    for part in (order[-len(order) // 5 :], order[: len(order) // 5]):
        without = pixels.copy().reshape(-1, 3)
        without[part] = pixels.reshape(-1, 3).mean(0)
        scores.append(explain(known, Image.fromarray(without.reshape(pixels.shape)), RED).score)
    assert scores[0] < found.score - 0.1
    assert scores[0] < scores[1] - 0.1


def test_other_weights_give_another_map(known):
    """The sanity check of Adebayo et al. 2018, https://arxiv.org/abs/1810.03292."""
    image = picture(RED, BLUE)
    explained = explain(known, image, RED).heat
    model = copy.deepcopy(known.model)
    model.backbone.colours.weight.data = model.backbone.colours.weight.data.flip(0)
    other = explain(identifier_of(model, half_grey()), image, RED).heat
    assert np.corrcoef(explained.ravel(), other.ravel())[0, 1] < 0.3


def test_nothing_speaks_for_a_taxon_in_a_blank_picture(known):
    found = explain(known, picture(), taxon=GREEN)
    assert not found.heat.any()
    assert (
        in_words(found, [Zone("label", (0, 0, 9, 9))])
        == "Nothing in the image speaks for this taxon."
    )
    shares = zone_shares(found, [Zone("label", (0, 0, 56, 64))])
    assert np.isnan(list(shares.attention.values())).all()
    assert shares.area["label"] == pytest.approx(0.5)


@pytest.mark.parametrize("size", [(31, 90), (90, 31), (64, 64), (64, 1), (500, 333)])
def test_the_place_of_a_picture_in_the_letterbox_is_where_it_is_drawn(size):
    letterbox = Letterbox(
        ImageSpec.from_dict(
            {"size": (64, 48), "mean": (0, 0, 0), "std": (1, 1, 1), "interpolation": "bilinear"}
        )
    )
    drawn = np.argwhere(letterbox(Image.new("RGB", size, (255, 255, 255)))[0].numpy() > 0)
    top, left, high, wide = letterboxed(size[1], size[0], (64, 48))
    assert drawn.min(0).tolist() == [top, left]
    assert (drawn.max(0) + 1).tolist() == [top + high, left + wide]


BACKBONES = {
    "timm:test_convnext": ({}, ON_MAP, (2, 2)),
    "efficientnet_lite0": ({}, ON_MAP, (2, 2)),
    "swin_tiny": (WINDOWS, ON_MAP, (2, 2)),
    "swinv2_tiny": (WINDOWS, ON_MAP, (2, 2)),
    "timm:test_vit": ({}, ON_PIXELS, (SIZE, SIZE)),
}


def built(backbone: str, seed: int = 0):
    torch.manual_seed(seed)
    return build(
        PartSpec(backbone, BACKBONES[backbone][0]),
        PartSpec("linear_bn", {"embedding_size": 16}),
        PartSpec("arcface", {}),
        TAXONOMY,
        image_size=SIZE,
        pretrained_backbone=False,
    )


@pytest.mark.parametrize("backbone", BACKBONES)
def test_backbones_of_every_kind_are_explained_and_left_as_they_were(backbone):
    _, method, cells = BACKBONES[backbone]
    model, processor = built(backbone)
    model.hold_backbone(True)
    identifier = identifier_of(model, processor)
    model.train()
    model.head.weight.grad = torch.ones_like(model.head.weight)
    state = copy.deepcopy(model.state_dict())
    before = [(module.training, len(module._forward_hooks)) for module in model.modules()]
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    image = plain_sheet()
    first, again = explain(identifier, image), explain(identifier, image)
    assert (first.method, first.cells) == (method, cells)
    assert first.heat.shape == (336, 224)
    assert first.heat.sum() == pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(first.heat, again.heat)
    assert [(module.training, len(module._forward_hooks)) for module in model.modules()] == before
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert [p.grad is not None for p in model.parameters()].count(True) == 1
    assert bool((model.head.weight.grad == 1).all())
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_names_and_scores_are_those_of_identify(monkeypatch):
    model, processor = built("timm:test_convnext")
    model.add_stacking().offsets[1] = 3
    model.stacking.intercept.fill_(2)
    merged = Taxonomy(TAXONOMY.taxa[:2])
    model.merge = ClassMerge((0, 1, 0), 2)
    identifier = identifier_of(model, processor, merged)
    monkeypatch.setattr(Identifier, "temperature", 2.5)
    image = plain_sheet()
    best = identifier(image)[0].best
    found = explain(identifier, image)
    assert found.taxon.scientificName == best.scientificName
    assert found.score == pytest.approx(best.score, abs=1e-6)
    assert found.heat.any()


def test_a_model_of_one_taxon_is_explained():
    model, processor = built("timm:test_convnext")
    model.merge = ClassMerge((0, -1, -1), 1)
    found = explain(identifier_of(model, processor, Taxonomy(TAXONOMY.taxa[:1])), plain_sheet())
    assert found.score == pytest.approx(1)
    assert found.heat.any()


@pytest.mark.slow
def test_a_trained_transformer_by_stages_looks_at_the_patch():
    torch.manual_seed(0)
    model, processor = build(
        PartSpec("swin_tiny", {**WINDOWS, "drop_path_rate": 0.0}),
        PartSpec("linear_bn", {"embedding_size": 16}),
        PartSpec("softmax", {}),
        TAXONOMY,
        image_size=SIZE,
        pretrained_backbone=False,
    )
    identifier = identifier_of(model, processor)
    generator = np.random.default_rng(0)
    half = SIZE // 2

    def drawn(kind: int, place: int) -> np.ndarray:
        pixels = generator.normal(128, 20, (SIZE, SIZE, 3))
        top, left = half * (place // 2), half * (place % 2)
        pixels[top : top + half, left : left + half] += np.eye(3)[kind] * 90 - 30
        return np.clip(pixels, 0, 255).astype(np.uint8)

    letterbox = identifier.letterbox
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    model.train()
    for _ in range(40):
        kinds, places = generator.integers(3, size=12), generator.integers(4, size=12)
        images = np.stack([drawn(*each) for each in zip(kinds, places, strict=True)])
        pixels = letterbox.normalise(torch.from_numpy(images).permute(0, 3, 1, 2))
        loss = model(pixel_values=pixels, labels=torch.from_numpy(kinds)).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    for method in ("map", "pixels"):
        shown = [(kind, place) for kind in range(3) for place in range(4)]
        pictures = collect_images([Image.fromarray(drawn(*each)) for each in shown])
        on_patch = []
        for (kind, place), found in zip(
            shown, Explainer(identifier, method).explained(pictures, workers=0), strict=True
        ):
            assert found.taxon is TAXONOMY.taxa[kind]
            top, left = half * (place // 2), half * (place % 2)
            on_patch.append(mass(found, (left, top, left + half, top + half)))
        assert np.mean(on_patch) > 0.6, method
