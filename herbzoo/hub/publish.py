"""A run folder to the Hub: staged, checked, and sent as one commit."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from herbzoo.build import folder_of, load_run
from herbzoo.hub.card_checks import check_card
from herbzoo.hub.card_yaml import read_stated
from herbzoo.hub.cards import write_card
from herbzoo.hub.permission import check_id, check_metadata, check_owner
from herbzoo.hub.refusals import HubError, told
from herbzoo.hub.remote_code import write_code
from herbzoo.hub.staging import PUBLISHED, Staged, matches, size_text, stage, staged
from herbzoo.hub.training_facts import read_training_facts
from herbzoo.modeling.configuration_herbzoo import HerbConfig

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAIN = "main"
EMPTY = (".gitattributes", "README.md", "LICENSE")
"""What a repository holds in which nobody has put anything yet."""
OURS = (*PUBLISHED, "*.py")
"""Patterns of the files that a later publication takes away again if it has them no more."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Destination:
    """Where on the Hub, and how.

    Args:
        repo_id: `organisation/name`.
        private: of a repository that is created.
        revision: the branch, which is created if it is not there.
        pull_request: propose the commit instead of making it.
        tag: given to the commit.
        message: of the commit; made up if empty.
    """

    repo_id: str
    private: bool = False
    revision: str = MAIN
    pull_request: bool = False
    tag: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        """Refuses what cannot be meant.

        Raises:
            HubError: if the id lacks its owner, or a proposal is to have a tag or a branch.
        """
        check_id(self.repo_id)
        if self.pull_request and (self.tag or self.revision != MAIN):
            raise HubError(
                "a pull request has a branch of its own and no tag yet: give --pull-request alone"
            )


@dataclass(frozen=True)
class Published:
    """What was sent."""

    files: tuple[Staged, ...]
    commit: str
    url: str
    """The page of the commit, or of the pull request."""
    changed: bool
    """Whether there was anything new."""


@contextmanager
def prepared(
    run: str | Path, repo_id: str, license_id: str = "", tell: Callable[[str], Any] = logger.info
) -> Iterator[Path]:
    """Stages a run as it would be on the Hub, in a folder that is gone afterwards.

    Args:
        run: run folder or Hub id.
        repo_id: what its card calls it.
        license_id: of the model; else the one of `card.yaml`.
        tell: called with what a publisher should know, a line each.

    Yields:
        The folder, with weights, card and modelling code, all checked.

    Raises:
        RunError: if the run does not load, holds what it should not, or its card is not complete.
    """
    folder = folder_of(run)
    with tempfile.TemporaryDirectory(prefix="herbzoo-push-") as name:
        target = Path(name)
        stage(folder, target)
        load_run(folder)
        for note in (*write_code(target).notes, *_terms(target)):
            tell(note)
        write_card(target, model_id=repo_id, license_id=license_id)
        check_card(target)
        yield target


def _terms(folder: Path) -> Iterator[str]:
    """Yields what a publisher should think of before choosing a licence."""
    licences = read_training_facts(folder)["data"]["licences"]
    if licences["non_commercial"]:
        yield (
            f"{licences['non_commercial']:,} of the training images must not be used commercially: "
            "choose a licence of the model that says so too"
        )
    elif not licences["all"] and not read_stated(folder).data_terms:
        yield (
            "the data state no licence: say under `data_terms` in card.yaml by what right the "
            "images were used"
        )


def publish(
    run: str | Path,
    to: Destination,
    license_id: str = "",
    tell: Callable[[str], Any] = logger.info,
) -> Published:
    """Sends a run to the Hub in one commit.

    Large files that an earlier attempt has uploaded are not sent again, and nothing shows before
    the commit, so that a second attempt completes what the first one could not.

    Args:
        run: run folder or Hub id.
        to: where.
        license_id: of the model; else the one of `card.yaml`.
        tell: called with a line before what takes time.

    Returns:
        What was sent.

    Raises:
        RunError: if the run is not fit to be published.
        HubError: if the Hub refuses, or does not answer.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    with prepared(run, to.repo_id, license_id, tell) as folder, told(to.repo_id):
        check_owner(api, to.repo_id, may_propose=to.pull_request)
        check_metadata(folder / "README.md", "model")
        before = _there(api, to)
        files = staged(folder)
        names = {file.name for file in files}
        gone = [name for name in before.files if matches(name, OURS) and name not in names]
        if not before.commit:
            api.create_repo(to.repo_id, private=to.private, exist_ok=True)
        if to.revision != MAIN:
            api.create_branch(to.repo_id, branch=to.revision, exist_ok=True)
        tell(f"sending {len(files)} files, {size_text(files)}")
        sent = api.create_commit(
            to.repo_id,
            [
                *(CommitOperationAdd(file.name, file.path) for file in files),
                *(CommitOperationDelete(name) for name in gone),
            ],
            commit_message=to.message or f"{Path(str(run)).name}, published with herbzoo",
            revision=to.revision,
            create_pr=to.pull_request,
            parent_commit=before.commit,
        )
        if to.tag:
            api.create_tag(to.repo_id, tag=to.tag, revision=sent.oid)
    url = sent.pr_url or sent.commit_url
    return Published(tuple(files), sent.oid, url, changed=sent.oid != before.commit)


@dataclass(frozen=True)
class _Before:
    """What a repository holds before anything is sent."""

    commit: str | None = None
    files: Sequence[str] = ()


def _there(api: HfApi, to: Destination) -> _Before:
    """Looks whether the repository is new, or a herbzoo model that may be brought up to date.

    Raises:
        HubError: if it holds something else, has the tag already, or is not private as asked.
    """
    from huggingface_hub import errors

    try:
        refs = api.list_repo_refs(to.repo_id)
    except errors.RepositoryNotFoundError:
        if to.pull_request:
            raise
        return _Before()
    if to.tag in {tag.name for tag in refs.tags}:
        raise HubError(f"{to.repo_id} has a tag {to.tag} already: choose another --tag")
    branches = {branch.name for branch in refs.branches}
    info = api.model_info(to.repo_id, revision=to.revision if to.revision in branches else MAIN)
    files = [entry.rfilename for entry in info.siblings or ()]
    others = [name for name in files if not matches(name, EMPTY)]
    if others and not _is_herbzoo(api, to.repo_id, info.sha, files):
        raise HubError(
            f"{to.repo_id} is there already and holds another thing ({others[0]}): choose another "
            "name, or delete it on its page first"
        )
    if to.private and not info.private:
        raise HubError(f"{to.repo_id} is there already, for all to see: leave --private out")
    return _Before(info.sha, files)


def _is_herbzoo(api: HfApi, repo_id: str, commit: str | None, files: Sequence[str]) -> bool:
    if "config.json" not in files:
        return False
    try:
        config = json.loads(
            Path(api.hf_hub_download(repo_id, "config.json", revision=commit)).read_text("utf-8")
        )
    except ValueError:
        return False
    return isinstance(config, dict) and config.get("model_type") == HerbConfig.model_type
