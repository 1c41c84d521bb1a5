"""The rules of docs/architecture.md that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from herbzoo import registry
from herbzoo.interfaces import KINDS

ROOT = Path(__file__).parent.parent
CORE = sorted((ROOT / "herbzoo").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins" / "herbzoo_plugins").rglob("*.py"))
OURS = [
    path
    for folder in ("herbzoo", "plugins", "tests", "spaces", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]

LAYERS = (
    {"errors", "interfaces", "whole_file"},
    {"modeling", "registry", "_autoregister"}
    | {"taxonomy", "names", "name_words", "name_usages", "name_layouts", "name_stream"}
    | {"name_table", "resolution", "calibration"},
    {"build", "data", "recipe", "recipe_files", "recipe_values", "conformance"},
    # Anything not named here works on these: training, evaluation, inference, export, hub, ...
    {"cli", "__main__"},
)
WORKING_LAYER = 3
LEVEL = {unit: level for level, units in enumerate(LAYERS[:3]) for unit in units} | dict.fromkeys(
    LAYERS[3], WORKING_LAYER + 1
)


LIBRARIES = {("herbzoo/hub/training_facts.py", "timm")}
"""Where a registered name stands for the distribution of that name, whose version is stated."""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """Yields what is imported at run time, anywhere: the module, and the names out of it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module, [alias.name for alias in node.names]
        else:
            yield from imports(node)


def unit_of(path: Path) -> str:
    """The module or package right below `herbzoo` that a file belongs to."""
    return path.relative_to(ROOT / "herbzoo").parts[0].removesuffix(".py")


def units_used(path: Path) -> set[str]:
    used = set()
    for module, names in imports(parse(path)):
        if module == "herbzoo":
            used |= {name for name in names if not name.startswith("__")}
        elif module.startswith("herbzoo."):
            used.add(module.split(".")[1])
    return used - {unit_of(path)}


def dependencies() -> dict[str, set[str]]:
    """What each unit imports of the others; the lazy front door, `__init__`, is none of them."""
    graph: dict[str, set[str]] = {}
    for path in CORE:
        if unit_of(path) != "__init__":
            graph.setdefault(unit_of(path), set()).update(units_used(path))
    return graph


def level(unit: str) -> int:
    return LEVEL.get(unit, WORKING_LAYER)


def test_layers_import_downwards_only():
    upwards = [
        f"{unit} imports {other}"
        for unit, others in dependencies().items()
        for other in others
        if level(other) > level(unit)
    ]
    assert not upwards


def test_no_two_units_import_each_other():
    try:
        TopologicalSorter(dependencies()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_scan_sees_imports_inside_functions_and_not_those_for_types():
    code = "if TYPE_CHECKING:\n  import a\ndef f():\n  from herbzoo import b\n  import c.d"
    assert list(imports(ast.parse(code))) == [("herbzoo", ["b"]), ("c.d", [])]


@pytest.mark.parametrize("path", [*(ROOT / "herbzoo/modeling").glob("*.py"), *PLUGINS], ids=str)
def test_what_travels_to_the_hub_imports_nothing_from_herbzoo(path: Path):
    absolute = [module for module, _ in imports(parse(path)) if not module.startswith(".")]
    assert not [m for m in absolute if m.split(".")[0] in ("herbzoo", "herbzoo_plugins")]
    deep = [module for module, _ in imports(parse(path)) if module.startswith("..")]
    assert not deep, "publishing copies siblings, flat"


@pytest.mark.parametrize("path", OURS, ids=relative)
def test_files_have_at_most_350_lines(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350


def test_files_are_named_for_a_noun():
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
    assert not [relative(path) for path in OURS if path.stem in vague]


def strings(path: Path) -> Iterator[ast.Constant]:
    """Yields the whole string literals of a file, but for docstrings and other bare strings."""
    tree = parse(path)
    bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield node


def test_the_core_names_no_plugin():
    registered = {name for kind in KINDS for name in registry.names(kind)}
    assert {"softmax", "swin_tiny"} <= registered
    named = [
        f"{relative(path)}:{node.lineno} {node.value!r}"
        for path in CORE
        for node in strings(path)
        if node.value.partition(":")[0] in registered
        and (relative(path), node.value) not in LIBRARIES
    ]
    assert not named


def test_nothing_is_pickled():
    for path in [*CORE, *PLUGINS]:
        modules = {module.split(".")[0] for module, _ in imports(parse(path))}
        assert not modules & {"pickle", "cPickle", "dill", "joblib", "cloudpickle"}, relative(path)


def test_torch_loads_weights_only():
    for path in OURS:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get("weights_only") == "True", f"{relative(path)}:{node.lineno}"


def test_importing_herbzoo_imports_nothing_heavy():
    code = "import herbzoo, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "timm", "pandas", "numpy", "datasets", "PIL", "typer"}
    assert not heavy & set(done.stdout.split())


def test_the_library_never_prints():
    printing = [
        f"{relative(path)}:{node.lineno}"
        for path in CORE
        if unit_of(path) != "cli"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    assert not printing


def test_no_except_is_bare():
    for path in OURS:
        for node in ast.walk(parse(path)):
            assert not (isinstance(node, ast.ExceptHandler) and node.type is None), relative(path)
