"""Features of a frozen backbone: computed once, kept safely, never stale."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from PIL import Image
from tiny import SIZE, TAXONOMY, coloured_leaves, tiny_model

from herbzoo.build import image_spec_of
from herbzoo.data.batches import Drawn, EpochSampler, FeatureRows, ImageRows, class_indices
from herbzoo.data.masking import MaskZones
from herbzoo.data.readers import open_collection
from herbzoo.data.records import FIELD
from herbzoo.data.transforms import Augment, Letterbox
from herbzoo.features import cache_folder, frozen_features


@pytest.fixture
def leaves(tmp_path):
    return coloured_leaves(tmp_path / "leaves", images_a_species=2)


def rows_of(folder, processor, seed=0):
    collection = open_collection(folder)
    labels = class_indices(collection, TAXONOMY)
    return ImageRows(collection, Letterbox(image_spec_of(processor)), labels, Augment(), seed)


def compute(model, rows, views=2):
    return frozen_features(
        model, rows, views=views, device=torch.device("cpu"), batch_size=4, workers=0
    )


def kept():
    return sorted(cache_folder().glob("*"))


def test_the_first_view_is_the_backbones_answer_to_the_plain_image(leaves):
    model, processor = tiny_model()
    rows = rows_of(leaves, processor)
    features = compute(model, rows)
    assert features.shape == (2, 6, model.backbone.out_features)
    pixels = torch.stack([rows.plain(row) for row in range(6)])
    with torch.no_grad():
        torch.testing.assert_close(features[0], model.backbone.eval()(pixels), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(features[0], features[1])


def test_a_second_run_reads_what_the_first_kept(leaves):
    model, processor = tiny_model()
    rows = rows_of(leaves, processor)
    first = compute(model, rows)
    model.backbone.forward = None  # reading needs no backbone
    assert torch.equal(compute(model, rows), first)
    assert len(kept()) == 1 and kept()[0].suffix == ".safetensors"


def test_other_weights_other_images_or_another_seed_are_not_mistaken_for_the_same(leaves):
    model, processor = tiny_model()
    compute(model, rows_of(leaves, processor))
    with torch.no_grad():
        next(model.backbone.parameters()).add_(1.0)
    compute(model, rows_of(leaves, processor))
    compute(model, rows_of(leaves, processor, seed=1))
    Image.new("RGB", (50, 70)).save(leaves / "Acer_rubrum" / "0.jpg")
    compute(model, rows_of(leaves, processor))
    assert len(kept()) == 4


def test_a_sheet_that_turns_out_to_be_a_photo_is_masked_no_more(leaves):
    model, processor = tiny_model()
    rows = rows_of(leaves, processor)
    rows.mask = MaskZones(("label",))
    compute(model, rows)
    frame = rows.collection.frame.assign(basisOfRecord=FIELD)
    compute(model, replace(rows, collection=replace(rows.collection, frame=frame)))
    assert len(kept()) == 2


def test_a_damaged_file_is_computed_again(leaves, caplog):
    model, processor = tiny_model()
    rows = rows_of(leaves, processor)
    first = compute(model, rows).clone()  # not the file itself
    os.truncate(kept()[0], 100)
    assert torch.equal(compute(model, rows), first)
    assert "damaged" in caplog.text
    assert kept()[0].stat().st_size > 100


def test_training_draws_another_view_each_epoch_and_evaluation_the_plain_one():
    rows = FeatureRows(torch.arange(6.0).view(3, 2, 1), torch.tensor([0, 1]).numpy())
    drawn = [rows[Drawn(0, epoch)]["features"].item() for epoch in range(4)]
    assert drawn == [0.0, 2.0, 4.0, 0.0]
    assert rows[1]["features"].item() == 1.0


def test_a_view_depends_on_seed_epoch_and_row_alone(leaves):
    _, processor = tiny_model()
    assert processor.crop_size["height"] == SIZE
    rows = rows_of(leaves, processor)
    torch.manual_seed(1)
    first = rows[Drawn(2, 5)]["pixel_values"]
    torch.manual_seed(2)
    assert torch.equal(rows[Drawn(2, 5)]["pixel_values"], first)
    assert not torch.equal(rows[Drawn(2, 6)]["pixel_values"], first)
    assert not torch.equal(rows_of(leaves, processor, seed=9)[Drawn(2, 5)]["pixel_values"], first)


def test_an_epoch_has_every_row_once_in_an_order_of_its_own():
    sampler = EpochSampler(10, seed=3)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        drawn = list(sampler)
        assert {d.epoch for d in drawn} == {epoch}
        orders.append([d.row for d in drawn])
    assert sorted(orders[0]) == list(range(10))
    assert orders[0] == orders[2] != orders[1]


def test_no_epoch_ends_in_a_batch_of_one():
    assert len(EpochSampler(17, 0, batch_size=8)) == len(list(EpochSampler(17, 0, 8))) == 16
    assert len(EpochSampler(18, 0, batch_size=8)) == 18
    assert len(EpochSampler(1, 0, batch_size=8)) == 1
    assert len(EpochSampler(5, 0, batch_size=1)) == 5
