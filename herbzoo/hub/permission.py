"""What the Hub is asked before anything is made there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from herbzoo.hub.refusals import HubError

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def check_id(repo_id: str) -> None:
    """Refuses what is no id of a repository.

    Raises:
        HubError: if it is not `organisation/name`.
    """
    if repo_id.count("/") != 1 or not all(repo_id.split("/")):
        raise HubError(f"{repo_id!r} names no repository: write organisation/name")


def check_owner(api: HfApi, repo_id: str, may_propose: bool = False) -> None:
    """Finds out whether we may write there.

    Args:
        api: the Hub.
        repo_id: `organisation/name`.
        may_propose: whether a pull request is all that is wanted, which anybody may open.

    Raises:
        HubError: if the repository would be somebody else's.
    """
    user = api.whoami()
    token = user.get("auth", {}).get("accessToken", {})
    if token.get("role") == "read":
        raise HubError(
            f"your token {token.get('displayName', '')!r} may only read: make one that may write, "
            "on the Hub's page of settings, and log in with it by `hf auth login`"
        )
    groups = [group["name"] for group in user.get("orgs", ()) if group.get("roleInOrg") != "read"]
    ours = [user["name"], *groups]
    owner = repo_id.partition("/")[0]
    if owner not in ours and not may_propose:
        raise HubError(
            f"{repo_id} would belong to {owner}, and you are {ours[0]}"
            + (f", member of {', '.join(ours[1:])}" if ours[1:] else "")
            + ": choose a name of yours, or propose it with a pull request"
        )


def check_metadata(card: Path, kind: str) -> None:
    """Has the Hub look at the metadata of a card, before anything is sent.

    Args:
        card: a README.md.
        kind: `model` or `space`.

    Raises:
        HubError: if it does not take them.
    """
    from huggingface_hub import RepoCard

    try:
        RepoCard(card.read_text(encoding="utf-8")).validate(repo_type=kind)
    except ValueError as error:
        raise HubError(f"the Hub does not take the metadata of the card: {error}") from error
