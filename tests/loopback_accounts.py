"""Who may do what on the loopback Hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loopback_repository import DATE

TOKEN = "hf_loopback"
"""Its owner writes in `member` and `org`, reads also what is private in `others`."""
READ_TOKEN = "hf_loopback_read"
"""The same user's, made for reading only."""


@dataclass(frozen=True)
class Account:
    """A user, as one of the user's tokens shows them."""

    name: str
    orgs: Mapping[str, str]
    """Organisations and the role there."""
    role: str
    """What the token was made for: `read` or `write`."""

    def may_read(self, namespace: str) -> bool:
        return namespace == self.name or namespace in self.orgs

    def may_write(self, namespace: str) -> bool:
        writes = namespace == self.name or self.orgs.get(namespace) in ("write", "admin")
        return writes and self.role == "write"

    def described(self) -> dict[str, Any]:
        """Returns what `whoami` says."""
        orgs = [
            {"type": "org", "id": f"id-{name}", "name": name, "fullname": name, "roleInOrg": role}
            for name, role in self.orgs.items()
        ]
        token = {"displayName": "loopback", "role": self.role, "createdAt": DATE}
        return {
            "type": "user",
            "id": f"id-{self.name}",
            "name": self.name,
            "fullname": self.name.title(),
            "isPro": False,
            "orgs": orgs,
            "auth": {"type": "access_token", "accessToken": token},
        }


_ORGS = {"org": "write", "others": "read"}
ACCOUNTS = {
    TOKEN: Account("member", _ORGS, "write"),
    READ_TOKEN: Account("member", _ORGS, "read"),
}
"""Accounts by token."""
