"""The contract of backbones and heads as callable checks, for plugin authors and our own tests.

    from herbzoo.conformance import assert_conforms
    assert_conforms("heads", MyHead, scale=16.0)

`herbzoo plugin check NAME` prints the same checks at the command line. They seed nothing that
outlives them, use the CPU, and reach no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from herbzoo.conformance.backbone import check_backbone_subject
from herbzoo.conformance.head import check_head_subject
from herbzoo.conformance.report import Check, Listener, Report
from herbzoo.conformance.subject import subject_of

__all__ = [
    "Check",
    "Listener",
    "Report",
    "assert_conforms",
    "check",
    "check_backbone",
    "check_head",
]


def check(
    kind: str,
    part: str | type,
    options: Mapping[str, Any] | None = None,
    *,
    meta_only: bool = False,
    listener: Listener = lambda check: None,
) -> Report:
    """Runs the contract's checks on a backbone or head.

    Args:
        kind: `backbones` or `heads`.
        part: a registered name, `family:variant`, or the class itself.
        options: passed to its constructor.
        meta_only: only what runs on the meta device, for variants too large to run here.
        listener: called with each check as it ends.

    Raises:
        PluginError: the name cannot be loaded, or the part has no such option.
    """
    subject = subject_of(kind, part, options or {}, "meta" if meta_only else "cpu")
    run = check_head_subject if kind == "heads" else check_backbone_subject
    return Report(kind, subject.name, run(subject, listener))


def check_backbone(part: str | type, *, meta_only: bool = False, **options: Any) -> Report:
    """Runs the contract's checks on a backbone; see `check`."""
    return check("backbones", part, options, meta_only=meta_only)


def check_head(part: str | type, *, meta_only: bool = False, **options: Any) -> Report:
    """Runs the contract's checks on a head; see `check`."""
    return check("heads", part, options, meta_only=meta_only)


def assert_conforms(
    kind: str, part: str | type, *, meta_only: bool = False, **options: Any
) -> None:
    """Runs the checks and raises `AssertionError` with the whole report if one fails."""
    report = check(kind, part, options, meta_only=meta_only)
    if not report.passed:
        raise AssertionError(f"\n{report}")
