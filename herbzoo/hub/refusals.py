"""What to say when the Hub refuses or cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from herbzoo.errors import HerbzooError


class HubError(HerbzooError):
    """The Hub refused something, or did not answer."""


@contextmanager
def told(repo_id: str) -> Iterator[None]:
    """Turns what the Hub's client raises into one line about a repository.

    Raises:
        HubError: in place of any error of the client or of the network.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise HubError(
            f"{repo_id!r} is no name for a repository: write organisation/name, of letters, digits "
            "and . _ -"
        ) from error
    except _kinds() as error:
        raise HubError(_said(repo_id, error)) from error
    except RuntimeError as error:  # as the client says of a large file that does not arrive
        cause = error.__cause__
        if not isinstance(cause, _kinds()):
            raise
        raise HubError(_said(repo_id, cause)) from error


def _kinds() -> tuple[type[Exception], ...]:
    """Returns what client and network raise; the client's errors derive from its HTTP library's."""
    from huggingface_hub import errors

    return (errors.LocalTokenNotFoundError, *errors.HfHubHTTPError.__bases__)


def _said(repo_id: str, error: Exception) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.LocalTokenNotFoundError):
        return _LOG_IN
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "the Hub is switched off here: unset HF_HUB_OFFLINE"
    if isinstance(error, errors.HfHubHTTPError):
        return f"{repo_id}: {_refused(error)}"
    if isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError):
        raise error  # of this machine: a full disk, a file that is gone
    return (
        f"{repo_id}: the connection to the Hub broke off ({_line(error)}): run the same command "
        "again; what has been uploaded is not sent twice, and nothing shows before all of it is "
        "there"
    )


_LOG_IN = "the Hub wants to know who you are: run `hf auth login`, or set HF_TOKEN"


def _refused(error: Exception) -> str:
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return _LOG_IN
    if isinstance(error, errors.RevisionNotFoundError):
        return "it has no such revision"
    if status == 403:
        return f"your token may not write there ({_line(error)}): use one with write access"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private and not yours"
    if status == 412:
        return "somebody else has changed it in the meantime: run the same command again"
    if status == 429:
        return "the Hub asks for fewer requests: run the same command again in some minutes"
    if status is not None and status >= 500:
        return f"the Hub has a fault of its own ({status}): run the same command again later"
    return f"the Hub refused ({_line(error)})"


def _line(error: Exception) -> str:
    """Returns the line that tells most: the client's first one is a bare status."""
    told = getattr(error, "server_message", None)
    lines = [line.strip() for line in str(told or error).splitlines() if line.strip()]
    telling = [line for line in lines if "Client Error" not in line]
    return (telling or lines or [type(error).__name__])[0].rstrip(".:")
