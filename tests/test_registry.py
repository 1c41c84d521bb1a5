from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fake_distribution import write

from herbzoo import registry
from herbzoo.errors import PluginError


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path to write made-up distributions into."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def message(kind: str, name: str) -> str:
    with pytest.raises(PluginError) as caught:
        registry.load(kind, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def modules_after(code: str) -> set[str]:
    code += "; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_finding_names_imports_no_plugin_and_no_torch():
    code = "from herbzoo import registry; assert registry.names('backbones')"
    modules = modules_after(code)
    assert "herbzoo.registry" in modules
    assert not modules & {"torch", "timm", "transformers", "herbzoo_plugins"}


def test_the_distribution_of_a_part_is_known_without_importing_it():
    code = "from herbzoo import registry; print(registry.distribution('heads', 'arcface'))"
    assert not modules_after(code) & {"torch", "herbzoo_plugins"}
    assert registry.distribution("heads", "arcface")[0] == "herbzoo"


def test_loading_one_part_imports_no_other():
    modules = modules_after("from herbzoo import registry; registry.load('heads', 'softmax')")
    assert "herbzoo_plugins.heads.softmax" in modules
    assert not modules & {"herbzoo_plugins.heads.clip_text", "timm", "transformers"}


def test_names_match_a_glob():
    assert registry.names("backbones", "swinv2_*") == [
        "swinv2_base",
        "swinv2_large",
        "swinv2_small",
        "swinv2_tiny",
    ]
    assert registry.names("heads", "nothing*") == []


def test_an_unknown_kind_is_told_which_there_are():
    with pytest.raises(PluginError, match="backbones and heads, but no 'necks'"):
        registry.names("necks")


def test_a_misspelt_name_is_told_what_may_have_been_meant():
    text = message("backbones", "convnextv2_nanno")
    assert "no backbone 'convnextv2_nanno'" in text
    assert "did you mean 'convnextv2_nano'" in text
    assert "herbzoo list backbones" in text


def test_the_case_of_a_name_does_not_hide_what_was_meant():
    assert "did you mean 'arcface'" in message("heads", "ArcFace")


def test_a_name_like_no_other_is_told_of_the_family_and_of_installing():
    text = message("backbones", "resnet50")
    assert "try 'timm:resnet50'" in text
    assert "pip install" in text


def test_heads_have_no_families_to_suggest():
    text = message("heads", "zzzz")
    assert ":zzzz" not in text
    assert "pip install" in text


def test_a_family_without_its_variant_asks_for_one():
    assert "timm:ARCHITECTURE" in message("backbones", "timm")


def test_a_variant_of_what_is_no_family_is_refused():
    assert "takes no variant" in message("backbones", "swin_tiny:large")


def test_a_variant_loads_the_class_of_its_family():
    assert registry.load("backbones", "timm:test_vit").__name__ == "TimmBackbone"


def test_two_distributions_with_one_name_are_both_named(site: Path):
    write(site, "flora-heads", {"herbzoo.heads": {"twice": "Anyhead"}})
    write(site, "fauna-heads", {"herbzoo.heads": {"twice": "Anyhead"}})
    assert "offered by fauna-heads and flora-heads" in message("heads", "twice")
    with pytest.raises(PluginError, match="fauna-heads and flora-heads"):
        registry.distribution("heads", "twice")
    assert registry.load("heads", "softmax")  # the others still work


def test_a_stranger_cannot_take_a_first_party_name_silently(site: Path):
    write(site, "impostor", {"herbzoo.heads": {"softmax": "Anyhead"}})
    assert "offered by herbzoo and impostor" in message("heads", "softmax")


def test_a_plugin_that_does_not_import_names_its_distribution(site: Path):
    write(site, "broken-head", {"herbzoo.heads": {"fragile": "H"}}, "import no_such_module_here")
    text = message("heads", "fragile")
    assert "broken-head" in text
    assert "no_such_module_here" in text
    assert registry.load("heads", "softmax")  # it breaks only itself


def test_a_plugin_may_break_by_any_exception(site: Path):
    write(site, "burning-head", {"herbzoo.heads": {"burning": "H"}}, "1 / 0")
    assert "burning-head" in message("heads", "burning")
    assert "ZeroDivisionError" in message("heads", "burning")


def test_an_entry_point_that_is_no_class_is_refused(site: Path):
    write(site, "function-head", {"herbzoo.heads": {"function": "f"}}, "def f(): ...")
    assert "is no class" in message("heads", "function")


def test_the_same_distribution_twice_on_the_path_is_no_clash(
    site: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    copy = tmp_path_factory.mktemp("copy")
    for folder in (site, copy):
        write(folder, "doubled-head", {"herbzoo.heads": {"doubled": "Anyhead"}})
    monkeypatch.syspath_prepend(str(copy))
    assert registry.load("heads", "doubled").__name__ == "Anyhead"


def test_describe_counts_parameters_as_a_real_construction_has_them():
    part = registry.load("backbones", "convnextv2_atto")()
    info = registry.describe("backbones", "convnextv2_atto")
    assert info.parameters == sum(p.numel() for p in part.parameters())
    assert (info.name, info.kind, info.distribution) == (
        "convnextv2_atto",
        "backbones",
        "herbzoo",
    )
    assert info.version
    assert "ImageNet" in info.pretrained
    assert info.summary.startswith("ConvNeXt V2 Atto")


def test_describe_counts_a_head_at_the_stated_sizes():
    features, classes = registry.HEAD_SIZES
    assert registry.describe("heads", "softmax").parameters == (features + 1) * classes


def test_describe_knows_no_size_of_a_family_but_of_its_variant():
    assert registry.describe("backbones", "timm").parameters is None
    assert registry.describe("backbones", "timm:test_vit").parameters > 0


def test_describe_names_the_distribution_of_what_does_not_construct(site: Path):
    code = "class H:\n    def __init__(self, in_features, num_classes): raise OSError('no disk')"
    write(site, "sinking-head", {"herbzoo.heads": {"sinking": "H"}}, code)
    with pytest.raises(PluginError, match="sinking-head and does not construct: OSError: no disk"):
        registry.describe("heads", "sinking")


def test_pretrained_is_empty_where_a_plugin_is_broken(site: Path):
    write(site, "mute-head", {"herbzoo.heads": {"mute": "H"}}, "1 / 0")
    assert registry.pretrained("heads", "mute") == ""
    assert "wheel" in registry.pretrained("backbones", "efficientnet_lite0")
