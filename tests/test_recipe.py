"""Recipes: frozen dataclasses, YAML, and what wins over what."""

from __future__ import annotations

import pytest

from herbzoo import Recipe
from herbzoo.errors import RecipeError
from herbzoo.recipe import PartRecipe, compose
from herbzoo.recipe_files import find_recipe, shipped_recipes

PARTS = {"backbone": "efficientnet_lite0", "head": "softmax"}


def test_a_recipe_survives_its_file(tmp_path):
    recipe = compose(None, ["head.margin=0.5", "image.size=[192, 128]"], {**PARTS, "seed": 3})
    recipe.save(tmp_path)
    assert Recipe.load(tmp_path / "recipe.yaml") == recipe


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads(name):
    recipe = Recipe.load(shipped_recipes()[name])
    assert recipe.backbone.name
    assert shipped_recipes()[name].read_text().startswith("# ")


def test_flags_win_over_settings_and_settings_over_the_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("backbone: a\nhead: b\ntraining: {lr: 0.1, epochs: 1, batch_size: 8}\n")
    settings = ["training.lr=0.2", "training.epochs=2"]
    recipe = compose(file, settings, {"training.lr": 0.3, "training.seed": None})
    assert (recipe.training.lr, recipe.training.epochs, recipe.training.batch_size) == (0.3, 2, 8)


def test_a_flag_that_names_another_part_drops_the_options_of_the_old_one():
    file = find_recipe("arcface")
    kept = compose(file, [], {"head": "arcface"})
    assert kept.head.options["scale"] == 30.0
    assert compose(file, [], {"head": "softmax"}).head == PartRecipe("softmax")


def test_a_setting_of_a_part_that_a_flag_names_is_kept():
    recipe = compose(None, ["head.margin=0.5", "backbone.pretrained=false"], PARTS)
    assert recipe.head.options == {"margin": 0.5}
    assert recipe.backbone == PartRecipe("efficientnet_lite0", {}, pretrained=False)


def test_groups_may_be_plain_dicts():
    recipe = Recipe(backbone="a", head="b", training={"epochs": 3}, image={"size": 160})
    assert (recipe.training.epochs, recipe.image.size) == (3.0, 160)
    with pytest.raises(RecipeError, match=r"training\.epoch"):
        Recipe(backbone="a", head="b", training={"epoch": 3})


def test_bare_names_and_a_bare_source_will_do():
    recipe = Recipe(backbone="efficientnet_lite0", head="arcface", data="leaves/")
    assert recipe.backbone == PartRecipe("efficientnet_lite0")
    assert recipe.data.source == "leaves/"
    assert recipe.output == "runs/efficientnet_lite0-arcface"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["training.learning_rate=1"], "no key training.learning_rate"),
        (["trainnig.lr=1"], "did you mean training"),
        (["training.lr=fast"], "training.lr must be float, not 'fast'"),
        (["training.lr=-1"], "lr must be above 0"),
        (["training.epochs=true"], "training.epochs must be float"),
        (["training.batch_size=0"], "at least 1"),
        (["training.log=paper"], "tensorboard, trackio, none"),
        (["training.lr"], "--set takes key=value"),
        (["image.size=big"], "image.size must be int or list"),
        (["schema_version=9"], "pip install --upgrade herbzoo"),
        (["data.test_share=1.5"], "shares must be"),
        (["training=1"], "'training' must hold keys"),
        (["a: [=1"], "no key"),
    ],
)
def test_a_mistake_is_answered_in_one_line(settings, message):
    with pytest.raises(RecipeError) as caught:
        compose(None, settings, PARTS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_part_says_which_flag():
    with pytest.raises(RecipeError, match="--head"):
        compose(None, [], {"backbone": "x"})


def test_an_unknown_recipe_lists_those_there_are():
    with pytest.raises(RecipeError, match="baseline"):
        compose("nope", [], PARTS)


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    (tmp_path / "r.yaml").write_text("- 1\n- 2\n")
    with pytest.raises(RecipeError, match="no mapping"):
        compose(tmp_path / "r.yaml", [], {})


def test_yaml_cannot_construct_objects(tmp_path):
    (tmp_path / "r.yaml").write_text("backbone: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(RecipeError, match="no YAML"):
        compose(tmp_path / "r.yaml", [], {})


def test_settings_of_a_head_survive_the_flag_that_names_it():
    recipe = compose("frozen", ["head.sample_rate=0.3"], {"head": "arcface"})
    assert (recipe.head.name, recipe.head.options) == ("arcface", {"sample_rate": 0.3})
    other = compose("frozen", ["head=softmax", "head.label_smoothing=0"], {"head": "arcface"})
    assert (other.head.name, other.head.options) == ("arcface", {}), "the flag wins"


@pytest.mark.parametrize(
    "setting",
    [
        *("seed=-1", "image.zoom=1.5", "image.recolour=-1", "image.augment=.nan"),
        *("training.stacking_rounds=0", "training.stacking_species=-2", "training.patience=-1"),
        *("training.lr=.nan", "image.mask_share=2"),
    ],
)
def test_values_out_of_range_are_refused_by_their_key(setting):
    key = setting.partition("=")[0].rpartition(".")[2]
    with pytest.raises(RecipeError, match=rf"{key} must be .* not "):
        compose("frozen", [setting], {})


def test_steps_that_a_closed_form_would_undo_are_refused():
    with pytest.raises(RecipeError, match=r"set training\.epochs=0"):
        compose("cross_domain", [], {"training.epochs": 3.0})
    compose("cross_domain", ["training.freeze_backbone=false"], {"training.epochs": 3.0})
