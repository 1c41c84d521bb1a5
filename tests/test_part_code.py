"""The code of other people's parts: copied where that can be done, else asked for by name."""

from __future__ import annotations

import json
from importlib.metadata import PathDistribution
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from fake_distribution import HEAD
from tiny import BACKBONES, TAXONOMY, save_run
from without_herbzoo import Failed, classes_of_config, outputs

from herbzoo.build import build
from herbzoo.errors import PluginError, RunError
from herbzoo.hub.part_code import Origin
from herbzoo.hub.remote_code import Code, write_code
from herbzoo.interfaces import PartSpec

pytest_plugins = ["hub_fixtures", "second_environment"]

TRUSTED = {"trust_remote_code": True}
BACKBONE = """
    from torch import nn


    class Patches(nn.Conv2d):
        def __init__(self):
            super().__init__(3, 8, 8, 8)
            self.out_features = 8

        def forward(self, pixel_values):
            return super().forward(pixel_values).relu().mean(dim=(2, 3))

        def load_pretrained(self):
            raise OSError

        def image_spec(self):
            return {"size": 64, "mean": [0.5] * 3, "std": [0.5] * 3}
"""


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def install(
    site: Path, name: str, point: tuple[str, str], files: dict[str, str], licence: str = "MIT"
) -> None:
    """Writes a distribution with an entry point, as pip would leave it."""
    for path, code in files.items():
        (site / path).parent.mkdir(exist_ok=True)
        (site / path).write_text(dedent(code), encoding="utf-8")
    info = site / f"{name}-1.2.dist-info"
    info.mkdir()
    stated = f"License-Expression: {licence}\n" if licence else ""
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.2\n{stated}")
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in files))
    kind, line = point
    (info / "entry_points.txt").write_text(f"[herbzoo.{kind}]\n{line}\n")


def published(folder: Path, head: str, backbone: str = "timm:test_convnext") -> Code:
    parts = (PartSpec(backbone, BACKBONES.get(backbone, {})), PartSpec("identity"), PartSpec(head))
    return write_code(save_run(folder, *build(*parts, TAXONOMY, pretrained_backbone=False)))


def assert_same(elsewhere, folder: Path) -> None:
    there = elsewhere(outputs, "scores", str(folder), **TRUSTED)
    here = outputs("scores", str(folder))
    np.testing.assert_allclose(there["logits"], here["logits"], atol=1e-6)


# -- what can be copied ---------------------------------------------------------------------------

HELPED = HEAD.replace("self(embeddings)\n", "scaled(self(embeddings))\n")
SIBLINGS = {
    "from a sibling": {"flora1/head.py": f"    from .scaling import scaled\n{HELPED}"},
    "from the package": {
        "flora2/head.py": "    from . import scaling\n"
        + HELPED.replace("scaled(self", "scaling.scaled(self")
    },
    "in the package itself": {"flora3/__init__.py": f"    from .scaling import scaled\n{HELPED}"},
    "imported by the package": {
        "flora4/__init__.py": "from .head import Anyhead",
        "flora4/head.py": f"    from .scaling import scaled\n{HELPED}",
    },
}
SCALING = "def scaled(x):\n    return 3 * x  # größer\n"


@pytest.mark.parametrize("case", SIBLINGS)
def test_a_strangers_part_travels_with_its_siblings(elsewhere, site, tmp_path, case):
    files = SIBLINGS[case]
    (package,) = {path.split("/")[0] for path in files}
    module = package if f"{package}/__init__.py" in files else f"{package}.head"
    more = {f"{package}/__init__.py": "", f"{package}/scaling.py": SCALING}
    install(site, package, ("heads", f"{package} = {module}:Anyhead"), more | files)
    code = published(tmp_path / "model", package)
    assert (code.self_contained, code.notes) == (True, ())
    assert "scaling.py" in code.files
    text = (tmp_path / "model" / "scaling.py").read_text(encoding="utf-8")
    assert f"# scaling.py of {package} 1.2\n# SPDX-License-Identifier: MIT\n" in text
    assert_same(elsewhere, tmp_path / "model")


def test_code_without_a_stated_licence_is_told_of(site, tmp_path):
    files = {"fauna_bare.py": HEAD}
    install(site, "fauna-bare", ("heads", "bare = fauna_bare:Anyhead"), files, licence="")
    code = published(tmp_path / "model", "bare")
    assert code.notes == ("fauna-bare states no licence, and its code goes along",)
    assert "# No licence stated" in (tmp_path / "model" / "fauna_bare.py").read_text()


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("License-Expression: MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("License: BSD 3-Clause\n  Copyright somebody\n  and so on", "BSD 3-Clause"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
        ("Summary: of nothing", ""),
    ],
)
def test_a_licence_is_read_wherever_it_is_stated(tmp_path, stated, expected):
    (tmp_path / "METADATA").write_text(f"Metadata-Version: 2.1\nName: a\nVersion: 1\n{stated}\n")
    assert Origin.of(PathDistribution(tmp_path)) == Origin("a", "1", expected)


# -- what cannot ----------------------------------------------------------------------------------

OBSTACLES = {
    "herbzoo": "import herbzoo.taxonomy",
    "another plugin": "from herbzoo_plugins.heads.softmax import Softmax",
    "its package, in full": "from {package}.scaling import scaled",
    "a folder above": "from ..{package}.scaling import scaled",
    "a folder below": "from .below.deep import scaled",
    "its package's own names": "from . import scaled",
    "a module beside its package": "import {package}_more",
    "for types only": "if __import__('typing').TYPE_CHECKING:\n    import herbzoo",
    "a file beside it": "WHERE = __file__",
}


@pytest.mark.parametrize("case", OBSTACLES)
def test_what_is_not_self_contained_is_asked_for_instead(site, tmp_path, case):
    number = [*OBSTACLES].index(case)
    package = f"meadow{number}"
    line = OBSTACLES[case].format(package=package)
    files = {
        f"{package}/__init__.py": SCALING,
        f"{package}/head.py": f"{dedent(HEAD)}\ndef later():\n    {line}\n"
        if "\n" not in line
        else f"{line}\n{dedent(HEAD)}",
        f"{package}/scaling.py": SCALING,
        f"{package}_more.py": "",
    }
    install(site, f"the-{package}", ("heads", f"{package} = {package}.head:Anyhead"), files)
    code = published(tmp_path / "model", package)
    assert not code.self_contained
    assert code.distributions == ("herbzoo", f"the-{package}")
    assert len(code.notes) == 1 and "\n" not in code.notes[0]
    assert f"{package} of the-{package} cannot be copied: head.py, line " in code.notes[0]
    assert code.files == ("configuration_herbzoo.py", "modeling_herbzoo.py")
    assert not [*(tmp_path / "model").glob("*head*")]


def test_where_it_is_not_installed_the_error_says_what_to_install(elsewhere, site, tmp_path):
    files = {"moor_head.py": f"import herbzoo\n{dedent(HEAD)}"}
    install(site, "moor-heads", ("heads", "moor = moor_head:Anyhead"), files)
    published(tmp_path / "model", "moor")
    where = str(tmp_path / "model")
    for way in ("embedding", "scores"):
        with pytest.raises(Failed) as caught:
            elsewhere(outputs, way, where, **TRUSTED)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("ImportError: this model is made of")
        assert "moor of moor-heads" in str(caught.value)
        assert "pip install herbzoo moor-heads, and import herbzoo" in str(caught.value)
    assert "AutoModel" in elsewhere(classes_of_config, where, **TRUSTED)
    assert outputs("scores", where, **TRUSTED)["module"].startswith("herbzoo.")


def test_two_files_of_one_name_are_not_laid_over_each_other(site, tmp_path):
    files = {"layers1/__init__.py": "", "layers1/part.py": HEAD}
    install(site, "layers1", ("heads", "layers1 = layers1.part:Anyhead"), files)
    files = {"layers2/__init__.py": "", "layers2/Part.py": BACKBONE}
    install(site, "layers2", ("backbones", "layers2 = layers2.Part:Patches"), files)
    code = published(tmp_path / "model", "layers1", "layers2")
    assert code.distributions == ("herbzoo", "layers1", "layers2")
    (note,) = code.notes
    assert note.startswith("layers1/part.py and layers2/Part.py have one name")


def test_a_part_that_no_file_defines_is_not_copied(site, tmp_path):
    code = f"{dedent(HEAD)}\nMade = type('Hidden', (Anyhead,), {{}})\n"
    install(site, "maker", ("heads", "maker = maker_head:Made"), {"maker_head.py": code})
    written = published(tmp_path / "model", "maker")
    assert not written.self_contained
    assert "maker_head is no file of Python that has Hidden" in written.notes[0]


# -- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [None, "{", "[]", '{"model_type": "vit"}'])
def test_a_folder_without_a_herbzoo_model_is_refused(tmp_path, config):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(RunError) as caught:
        write_code(tmp_path)
    assert "\n" not in str(caught.value)
    assert [item.name for item in tmp_path.iterdir()] == ["config.json"] * (config is not None)


def test_a_model_whose_part_is_not_installed_is_refused(tmp_path):
    parts = {"backbone": {"name": "timm:test_vit"}, "head": {"name": "soft_max"}}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "herbzoo"} | parts))
    with pytest.raises(PluginError, match="no head 'soft_max'; did you mean 'softmax'"):
        write_code(tmp_path)
