"""What can go wrong between a client and the loopback Hub, for tests to ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Fault:
    """Something that happens to the next requests of one route.

    Args:
        route: the name in `loopback_hub.ROUTES`, such as `commit` or `preupload`.
        status: what is answered instead; 0 breaks the connection without an answer.
        took_effect: the request is obeyed, and only its answer is lost.
        retry_after: seconds, told with the status.
        times: how often.
    """

    route: str
    status: int = 0
    took_effect: bool = False
    retry_after: int | None = None
    times: int = 1
