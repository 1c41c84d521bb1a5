"""What the loopback Hub answers to those who look and download."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from loopback_cards import metadata
from loopback_repository import DATE, Blob, Refusal, listed
from loopback_request import Request


class Reads(Request):
    """A method for each route that changes nothing."""

    def home(self) -> None:
        self._send(200)

    def whoami(self) -> None:
        self._send_json(self._signed_in().described())

    def may_read(self, kind: str, repo: str) -> None:
        if self._repository(kind, repo).gated:
            self._signed_in()
        self._send_json({})

    def may_write(self, kind: str, repo: str) -> None:
        self._writable(kind, repo)
        self._send_json({})

    def info(self, kind: str, repo: str, rev: str = "main") -> None:
        repository = self._repository(kind, repo)
        commit = repository.find(rev)
        files = repository.commits[commit].files
        facts = {
            "id": repo,
            "author": repo.split("/")[0],
            "sha": commit,
            "createdAt": DATE,
            "lastModified": DATE,
            "private": repository.private,
            "gated": "manual" if repository.gated else False,
            "siblings": [self._sibling(blob) for blob in files.values()],
            **_told_by_the_card(files.get("README.md"), kind),
        }
        if kind == "spaces":
            hardware = {"current": None, "requested": "cpu-basic"}
            facts["sdk"] = facts["cardData"].get("sdk", repository.sdk)
            facts["runtime"] = {"stage": "BUILDING", "hardware": hardware}
        self._send_json(facts)

    def _sibling(self, blob: Blob) -> dict[str, Any]:
        sibling: dict[str, Any] = {"rfilename": blob.path}
        if self.query.get("blobs", "").lower() == "true":
            entry = blob.entry()
            sibling |= {"size": entry["size"], "blobId": entry["oid"]}
            if "lfs" in entry:
                sibling["lfs"] = {"sha256": entry["lfs"]["oid"], **entry["lfs"]}
        return sibling

    def refs(self, kind: str, repo: str) -> None:
        refs = self._repository(kind, repo).refs.copy()

        def below(beginning: str) -> list[dict[str, str]]:
            return [
                {"name": ref.removeprefix(beginning), "ref": ref, "targetCommit": commit}
                for ref, commit in refs.items()
                if ref.startswith(beginning)
            ]

        kinds = {"branches": "refs/heads/", "tags": "refs/tags/", "converts": "refs/convert/"}
        found = {name: below(beginning) for name, beginning in kinds.items()}
        if self.query.get("include_prs") == "1":
            pulls = below("refs/pr/")
            found["pullRequests"] = [pull | {"name": pull["ref"]} for pull in pulls]
        self._send_json(found)

    def commits(self, kind: str, repo: str, rev: str) -> None:
        history = self._repository(kind, repo).history(rev)
        entries = [
            {
                "id": commit.id,
                "title": commit.title,
                "message": commit.description,
                "authors": [{"user": commit.author}],
                "date": DATE,
            }
            for commit in history
        ]
        self._send_json(entries)

    def tree(self, kind: str, repo: str, rev: str, path: str = "") -> None:
        blobs = self._repository(kind, repo).files(rev)
        below = f"{path}/" if path else ""
        inside = [blob for blob in blobs.values() if blob.path.startswith(below)]
        if path and not inside:
            raise Refusal(404, "EntryNotFound", f'"{path}" does not exist on "{rev}"')
        entries = [entry for entry in listed(inside) if entry["path"].startswith(below)]
        if self.query.get("recursive") != "true":
            entries = [entry for entry in entries if "/" not in entry["path"][len(below) :]]
        self._send_entries(entries)

    def paths_info(self, kind: str, repo: str, rev: str) -> None:
        blobs = self._repository(kind, repo).files(rev)
        form = parse_qs(self.body.decode())
        self.query["expand"] = form["expand"][0].lower()
        self._send_entries(e for e in listed(blobs.values()) if e["path"] in form["paths"])

    def _send_entries(self, entries: Iterable[dict[str, Any]]) -> None:
        last = {"lastCommit": {"id": "0" * 40, "title": "Add files", "date": DATE}}
        more = last if self.query.get("expand") == "true" else {}
        self._send_json([entry | more for entry in entries])

    def discussion(self, kind: str, repo: str, number: str) -> None:
        repository = self._repository(kind, repo)
        pull = repository.pulls.get(int(number))
        if pull is None:
            raise Refusal(404, "", "Discussion not found")
        ref = f"refs/pr/{number}"
        author = {"name": pull.author}
        event = {"id": "1", "type": "comment", "createdAt": DATE, "author": author}
        said = {"edited": False, "hidden": False, "latest": {"raw": pull.description}}
        document = {
            "num": pull.number,
            "title": pull.title,
            "status": "draft" if repository.refs[ref] == repository.find(pull.base) else "open",
            "createdAt": DATE,
            "author": author,
            "repo": {"name": repo, "type": kind.removesuffix("s")},
            "isPullRequest": True,
            "changes": {"base": pull.base},
            "filesWithConflicts": [],
            "events": [event | {"data": said}],
            "diff": "",
        }
        self._send_json(document)

    def resolve(self, repo: str, rev: str, path: str, kind: str = "models") -> None:
        repository = self._repository(kind, repo)
        if repository.gated and self.account is None:
            message = f"Access to {kind} {repo} is restricted. Please log in."
            raise Refusal(401, "GatedRepo", message)
        commit = repository.find(rev)
        blob = repository.commits[commit].files.get(path)
        if blob is None:
            raise Refusal(404, "EntryNotFound", "Entry not found", commit)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{blob.etag}"'}
        if not blob.is_large:
            self._send_file(blob, headers)
            return
        headers["X-Linked-ETag"] = headers.pop("ETag")
        headers["X-Linked-Size"] = str(len(blob.content))
        place = f"{self.hub.storage_url}/large/{blob.sha256}"
        self._send(302, b"", headers | {"Location": place})

    def large_file(self, sha256: str) -> None:
        for repository in list(self.hub.repositories.values()):
            for commit in list(repository.commits.values()):
                for blob in commit.files.values():
                    if blob.is_large and blob.sha256 == sha256:
                        self._send_file(blob, {"ETag": f'"{sha256}"'})
                        return
        raise Refusal(404, "", "no such file")

    def _send_file(self, blob: Blob, headers: Mapping[str, str]) -> None:
        """Sends a file, or the range of it that is asked for."""
        content, status = blob.content, 200
        headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "binary/octet-stream"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is not None:
            start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        cut = self.command == "GET" and blob.path in self.hub.to_cut
        if self.command == "GET":
            self.hub.sent.add(blob.sha256)
            self.hub.to_cut.discard(blob.path)
        self._send(status, content, headers, cut)


def _told_by_the_card(card: Blob | None, kind: str) -> dict[str, Any]:
    """Returns what the Hub reads off a card to show it, and to be searched for."""
    data = metadata(card.content.decode()) if card else {}
    tags = [str(tag) for tag in data.get("tags", [])]
    if "license" in data:
        tags.append(f"license:{data['license']}")
    told: dict[str, Any] = {"cardData": data, "tags": tags}
    if kind == "models":
        told |= {key: data[key] for key in ("library_name", "pipeline_tag") if key in data}
        if "model-index" in data:
            told["model-index"] = data["model-index"]
    elif kind == "spaces":
        told |= {key: data[key] for key in ("models", "datasets") if key in data}
    return told
