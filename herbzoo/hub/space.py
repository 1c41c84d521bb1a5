"""A Space of the Hub that shows a published model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from herbzoo import __version__
from herbzoo.curation.case_files import copy_cases
from herbzoo.curation.review import Review
from herbzoo.errors import HerbzooError, RunError
from herbzoo.hub.permission import check_id, check_metadata, check_owner
from herbzoo.hub.refusals import HubError, told

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

TEMPLATE = "spaces/herbarium-demo"
FILES = ("README.md", "app.py", "requirements.txt")
NO_MODEL, HERBZOO = '"org/name"', "herbzoo[demo,offline]"
"""What the template has in place of the model, and of herbzoo in its version."""
WITH_INDEX = "herbzoo[demo,offline,search]"
INDEX, REVIEW = "index", "review"
"""Where the specimen index of a Space lies, and the cases to review, if it has any."""
TITLE_LENGTH = 60


def write_space(
    run: str,
    folder: Path,
    title: str = "",
    index: Path | None = None,
    review: Path | None = None,
) -> None:
    """Writes the files of a Space for a model.

    Args:
        run: Hub id of the model (`org/name`, `org/name@revision`); a run folder makes a Space that
            runs on this machine only.
        folder: new or empty.
        title: shown on the Space's page; made up of the model's name if empty.
        index: a specimen index of the model, which is copied into the folder.
        review: a results folder of `herbzoo suspects` or `novel`; what its cases show is copied,
            with the decisions that were made.

    Raises:
        HerbzooError: if the folder holds anything, the index is none, or there is nothing to
            review.
    """
    from huggingface_hub import RepoCard

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HerbzooError(f"{folder} exists and is not an empty folder: name a new one")
    if index is not None:
        _check_index(index)
    if review is not None:
        Review(review)
    template = _template()
    folder.mkdir(parents=True, exist_ok=True)
    here = Path(run).is_dir()
    for name in FILES:
        text = (template / name).read_text(encoding="utf-8")
        if name == "README.md":
            card = RepoCard(text)
            model = run.partition("@")[0]
            name_shown = title or f"{Path(run if here else model).name} demo"
            card.data["models"] = [] if here else [model]
            card.data["title"] = name_shown[:TITLE_LENGTH]
            text = str(card)
        elif name == "app.py":
            text = text.replace(NO_MODEL, repr(str(Path(run).resolve()) if here else run))
        else:
            needed = HERBZOO if index is None else WITH_INDEX
            text = text.replace(HERBZOO, f"{needed}=={__version__}")
        (folder / name).write_text(text, encoding="utf-8")
    if index is not None:
        shutil.copytree(index, folder / INDEX)
    if review is not None:
        copy_cases(review, folder / REVIEW)


def push_space(
    run: str,
    repo_id: str,
    title: str = "",
    private: bool = False,
    index: Path | None = None,
    review: Path | None = None,
) -> str:
    """Creates a Space that shows a published model, or brings one up to date, in one commit.

    Args:
        run: Hub id of the model.
        repo_id: of the Space, `organisation/name`.
        title: shown on its page; made up of the model's name if empty.
        private: if the Space is new.
        index: a specimen index of the model, which goes with the Space.
        review: a results folder of `herbzoo suspects` or `novel`, whose cases go with it.

    Returns:
        The address of its page.

    Raises:
        RunError: if the model is a folder, which no Space could load.
        HubError: if the Hub refuses, or the Space is there and shows something else.
    """
    from huggingface_hub import HfApi

    check_id(repo_id)
    if Path(run).is_dir():
        raise RunError(
            f"{run} is a folder, which a Space cannot load: `herbzoo push {run} {repo_id}` first, "
            "and name the model by its Hub id here"
        )
    api = HfApi()
    model, _, revision = run.partition("@")
    with tempfile.TemporaryDirectory(prefix="herbzoo-space-") as name:
        folder = Path(name)
        write_space(run, folder, title, index, review)
        with told(model):
            api.model_info(model, revision=revision or None)
        with told(repo_id):
            check_owner(api, repo_id)
            check_metadata(folder / "README.md", "space")
            _check_free(api, repo_id)
            page = api.create_repo(
                repo_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True
            )
            api.create_commit(
                repo_id,
                _changes(api, repo_id, folder),
                commit_message=f"Show {run}",
                repo_type="space",
            )
    return str(page)


def _check_index(index: Path) -> None:
    """Refuses a folder that is no whole index, before it is copied.

    Raises:
        HerbzooError: if it is none, or the search is not installed here.
    """
    from herbzoo.index import SpecimenIndex

    if not index.is_dir():
        raise HerbzooError(
            f"{index} is no folder here: a Space takes along the index that `herbzoo index build` "
            "wrote to a folder"
        )
    SpecimenIndex.open(index)


def _changes(
    api: HfApi, repo_id: str, folder: Path
) -> list[CommitOperationAdd | CommitOperationDelete]:
    """Returns what makes a Space hold the files of a folder, and no index or cases of before."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    there = api.list_repo_files(repo_id, repo_type="space")
    kept = (f"{INDEX}/", f"{REVIEW}/")
    old = [name for name in there if name.startswith(kept) and name not in files]
    return [
        *(CommitOperationAdd(name, path) for name, path in sorted(files.items())),
        *(CommitOperationDelete(name) for name in old),
    ]


def _check_free(api: HfApi, repo_id: str) -> None:
    """Refuses a Space that is there already and is not one of ours.

    Raises:
        HubError: if it is not.
    """
    from huggingface_hub import errors

    try:
        info = api.space_info(repo_id)
    except errors.RepositoryNotFoundError:
        return
    names = {entry.rfilename for entry in info.siblings or ()}
    tags = set(info.tags or ())
    if names - {".gitattributes", "README.md"} and "herbzoo" not in tags:
        raise HubError(
            f"{repo_id} is there already and shows something else: choose another name, or delete "
            "it on its page first"
        )


def _template() -> Path:
    """Returns the folder of the template: in the wheel beside this file, else in the sources."""
    package = Path(__file__).parent
    for folder in (package / "templates" / "space", package.parents[1] / TEMPLATE):
        if folder.is_dir():
            return folder
    raise HerbzooError("this installation of herbzoo lacks the template of the Space: reinstall it")
