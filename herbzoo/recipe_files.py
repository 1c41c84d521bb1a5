"""Where recipes lie: the user's files, and those that come with herbzoo."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from herbzoo.errors import RecipeError


def shipped_recipes() -> dict[str, Path]:
    """Returns the recipes that come with herbzoo, by name."""
    folder = Path(str(resources.files("herbzoo"))) / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(recipe: str) -> Path:
    """Returns the file of a recipe given as a path or as a shipped name.

    Raises:
        RecipeError: if there is none.
    """
    if Path(recipe).is_file():
        return Path(recipe)
    shipped = shipped_recipes()
    if recipe in shipped:
        return shipped[recipe]
    raise RecipeError(
        f"{recipe!r} is neither a file nor a shipped recipe; those are {', '.join(shipped)}"
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping.

    Raises:
        RecipeError: if the file is missing or holds something else.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe {path}: {error}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} is no mapping of keys to values")
    return values
