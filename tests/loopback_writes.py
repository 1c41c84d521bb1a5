"""What the loopback Hub answers to those who create, commit, tag and propose."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from loopback_cards import check
from loopback_repository import (
    ATTRIBUTES,
    LARGEST_REGULAR,
    MAIN,
    SAMPLE,
    Blob,
    PullRequest,
    Refusal,
    Repository,
    is_large,
    is_safe,
)
from loopback_request import Request, Unforeseen

NAME = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?(?<!\.git)")
FILES_AT_ONCE = 256


class Writes(Request):
    """A method for each route that changes something."""

    # -- repositories ---------------------------------------------------------------------------

    def create(self) -> None:
        of_a_space = "sdk hardware sleepTimeSeconds secrets variables"
        given = self._document("name organization", f"type visibility {of_a_space}")
        account = self._signed_in()
        kind, namespace = given.get("type", "model"), given["organization"] or account.name
        repo = f"{namespace}/{given['name']}"
        if not account.may_write(namespace):
            message = f"You don't have the rights to create a {kind} under the namespace"
            raise Refusal(403, "", f'{message} "{namespace}"')
        if not NAME.fullmatch(given["name"]):
            raise Refusal(400, "", f'Invalid repo name: "{given["name"]}"')
        url = self._url(f"{kind}s", repo)
        if (f"{kind}s", repo) in self.hub.repositories:
            raise Refusal(409, "", f"You already created this {kind} repo: {repo}", url=url)
        files = {".gitattributes": ATTRIBUTES.encode()}
        if kind == "space":
            if given.get("sdk") not in ("gradio", "docker", "static"):
                raise Refusal(400, "", '"sdk" must be one of [gradio, docker, static]')
            files["README.md"] = f"---\ntitle: {given['name']}\nsdk: {given['sdk']}\n---\n".encode()
        private = given.get("visibility") == "private"
        repository = Repository(private, sdk=given.get("sdk", ""))
        repository.record(MAIN, _regular(files), "initial commit", author=account.name)
        self.hub.repositories[f"{kind}s", repo] = repository
        self._send_json({"url": url, "name": repo, "id": f"id-{repo}"})

    def delete(self) -> None:
        given = self._document("name organization", "type")
        kind = f"{given.get('type', 'model')}s"
        repo = f"{given['organization'] or self._signed_in().name}/{given['name']}"
        self._writable(kind, repo)
        del self.hub.repositories[kind, repo]
        self._send(200)

    def settings(self, kind: str, repo: str) -> None:
        repository = self._writable(kind, repo)
        given = self._document("", "visibility gated")
        repository.private = given.get("visibility", "") == "private" or (
            "visibility" not in given and repository.private
        )
        repository.gated = bool(given.get("gated", repository.gated))
        self._send_json({"private": repository.private, "gated": repository.gated})

    # -- commits --------------------------------------------------------------------------------

    def validate_yaml(self) -> None:
        given = self._document("content repoType")
        findings = check(given["content"], given["repoType"])
        if findings.errors and self.headers.get("Accept") == "text/plain":
            self._send(400, findings.text().encode(), {"Content-Type": "text/plain"})
        elif findings.errors:
            document = json.dumps(findings.document()).encode()
            self._send(400, document, {"Content-Type": "application/json"})
        else:
            self._send_json(findings.document())

    def preupload(self, kind: str, repo: str, rev: str) -> None:
        repository = self._changeable(kind, repo, rev)
        given = self._document("files")
        if len(given["files"]) > FILES_AT_ONCE:
            raise Refusal(400, "", f"more than {FILES_AT_ONCE} files at once")
        attributes, there = repository.attributes(rev), repository.files(rev)
        answers = []
        for file in given["files"]:
            path, size = file["path"], file["size"]
            sample = base64.b64decode(file["sample"], validate=True)
            if len(sample) != min(size, SAMPLE):
                raise Unforeseen(f"{path} has a sample of {len(sample)} bytes and {size} in all")
            _check_path(path)
            repository.announced[size, sample] = path
            large = is_large(path, sample, size, attributes)
            answer = {
                "path": path,
                "uploadMode": "lfs" if large else "regular",
                "shouldIgnore": False,
            }
            if path in there:
                answer["oid"] = there[path].etag
            answers.append(answer)
        self._send_json({"commitOid": repository.find(rev), "files": answers})

    def commit(self, kind: str, repo: str, rev: str) -> None:
        repository = self._changeable(kind, repo, rev)
        account = self._signed_in()
        if self.headers.get("Content-Type") != "application/x-ndjson":
            raise Refusal(415, "", "A commit is application/x-ndjson")
        header, operations = _operations(self.body)
        ref = repository.moving(rev)
        parent = header.get("parentCommit")
        base = repository.find(parent) if parent else repository.refs[ref]
        proposes = self.query.get("create_pr") == "1"
        if base != repository.refs[ref] and not proposes:
            raise Refusal(412, "", "A commit has happened since. Please refresh and try again.")
        blobs = dict(repository.commits[base].files)
        for what, value in operations:
            _CHANGES[what](repository, blobs, value)
        _check_result(blobs, kind)
        title, description = header["summary"], header.get("description", "")
        document: dict[str, Any] = {"success": True, "hookOutput": ""}
        if proposes:
            pull = repository.open_pull(title, description, account.name, rev)
            ref = f"refs/pr/{pull.number}"
            document["pullRequestUrl"] = self._page(kind, repo, pull)
        commit = repository.record(ref, blobs, title, description, account.name, base)
        document |= {"commitOid": commit, "commitUrl": f"{self._url(kind, repo)}/commit/{commit}"}
        self._send_json(document)

    def _changeable(self, kind: str, repo: str, rev: str) -> Repository:
        """Returns a repository of which this revision may be changed, or a change be proposed."""
        repository = self._proposable(kind, repo)
        own = [n for n, pull in repository.pulls.items() if pull.author == self._signed_in().name]
        if self.query.get("create_pr") != "1" and rev not in [f"refs/pr/{n}" for n in own]:
            self._writable(kind, repo)
        repository.moving(rev)
        return repository

    def _page(self, kind: str, repo: str, pull: PullRequest) -> str:
        return f"{self._url(kind, repo)}/discussions/{pull.number}"

    # -- names of commits -----------------------------------------------------------------------

    def create_branch(self, kind: str, repo: str, name: str) -> None:
        repository = self._writable(kind, repo)
        given = self._document("", "startingPoint")
        if name.startswith("refs/"):
            raise Refusal(400, "", f"Invalid reference for a branch: {name}")
        self._name(repository, f"refs/heads/{name}", given.get("startingPoint", "main"))

    def create_tag(self, kind: str, repo: str, rev: str) -> None:
        repository = self._writable(kind, repo)
        given = self._document("tag", "message")
        self._name(repository, f"refs/tags/{given['tag']}", rev)

    def _name(self, repository: Repository, ref: str, revision: str) -> None:
        if not re.fullmatch(r"refs/\w+/(?!.*(?:\.\.|//))[^\s~^:?*\[\\]+", ref):
            raise Refusal(400, "", f"Invalid reference: {ref}")
        commit = repository.find(revision)
        if ref in repository.refs:
            raise Refusal(409, "", f"Reference already exists: {ref}")
        repository.refs[ref] = commit
        self._send(200)

    def delete_branch(self, kind: str, repo: str, name: str) -> None:
        if name == "main":
            raise Refusal(403, "", "The branch main cannot be deleted")
        self._unname(self._writable(kind, repo), f"refs/heads/{name}")

    def delete_tag(self, kind: str, repo: str, name: str) -> None:
        self._unname(self._writable(kind, repo), f"refs/tags/{name}")

    def _unname(self, repository: Repository, ref: str) -> None:
        if repository.refs.pop(ref, None) is None:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {ref}")
        self._send(200)

    def open_discussion(self, kind: str, repo: str) -> None:
        repository = self._proposable(kind, repo)
        given = self._document("title description pullRequest")
        if given["pullRequest"] is not True:
            raise Unforeseen("only pull requests are discussed here")
        author = self._signed_in().name
        pull = repository.open_pull(given["title"], given["description"], author, "main")
        repository.refs[f"refs/pr/{pull.number}"] = repository.refs[MAIN]
        page = self._page(kind, repo, pull)
        self._send_json({"num": pull.number, "pullRequest": True, "url": page})


def _regular(files: Mapping[str, bytes]) -> dict[str, Blob]:
    return {path: Blob(path, content, False) for path, content in files.items()}


def _operations(body: bytes) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """Reads the lines of a commit: a header, and what to do."""
    lines = []
    for number, line in enumerate(body.splitlines(), start=1):
        try:
            entry = json.loads(line)
            lines.append((entry["key"], entry["value"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(400, "", f"Invalid NDJSON in line {number}: {error!r}") from error
    if not lines or lines[0][0] != "header":
        raise Refusal(400, "", "A commit begins with its header")
    header = lines.pop(0)[1]
    if not header.get("summary"):
        raise Refusal(400, "", '"summary" is not allowed to be empty')
    if not set(header) <= {"summary", "description", "parentCommit"}:
        raise Unforeseen(f"header of a commit: {header}")
    for key, value in lines:
        if key not in _CHANGES or not isinstance(value.get("path"), str):
            raise Unforeseen(f"operation of a commit: {key} {str(value)[:200]}")
    return header, lines


def _check_path(path: str) -> None:
    if not is_safe(path):
        raise Refusal(400, "", f'"path" is not valid: {path}')


def _put_file(repository: Repository, blobs: dict[str, Blob], value: Mapping[str, Any]) -> None:
    path = value["path"]
    _check_path(path)
    try:
        content = base64.b64decode(value["content"], validate=value["encoding"] == "base64")
    except (KeyError, binascii.Error) as error:
        raise Refusal(400, "", f"{path} is not encoded in base64") from error
    if len(content) > LARGEST_REGULAR or b"\0" in content[:SAMPLE]:
        what = "binary files" if len(content) <= LARGEST_REGULAR else "files larger than 10 MB"
        raise Refusal(400, "", f"Your push was rejected because it contains {what}: {path}")
    blobs[path] = Blob(path, content, False)


def _put_large(repository: Repository, blobs: dict[str, Blob], value: Mapping[str, Any]) -> None:
    path, content = value["path"], repository.objects.get(value["oid"])
    _check_path(path)
    if value["algo"] != "sha256" or content is None or len(content) != value.get("size"):
        message = "Your push was rejected because an LFS pointer pointed to a file that does not"
        raise Refusal(400, "", f"{message} exist. Offending file: - {path}")
    blobs[path] = Blob(path, content, True)


def _remove_file(repository: Repository, blobs: dict[str, Blob], value: Mapping[str, Any]) -> None:
    if value["path"] not in blobs:
        message = f'A file with this name doesn\'t exist: "{value["path"]}"'
        raise Refusal(404, "EntryNotFound", message)
    del blobs[value["path"]]


def _remove_folder(
    repository: Repository, blobs: dict[str, Blob], value: Mapping[str, Any]
) -> None:
    below = [path for path in blobs if path.startswith(value["path"].rstrip("/") + "/")]
    if not below:
        message = f'A folder with this name doesn\'t exist: "{value["path"]}"'
        raise Refusal(404, "EntryNotFound", message)
    for path in below:
        del blobs[path]


_CHANGES = {
    "file": _put_file,
    "lfsFile": _put_large,
    "deletedFile": _remove_file,
    "deletedFolder": _remove_folder,
}


def _check_result(blobs: Mapping[str, Blob], kind: str) -> None:
    """Refuses files that are folders too, and a card that the Hub does not take."""
    for path in blobs:
        parts = path.split("/")
        for end in range(1, len(parts)):
            if "/".join(parts[:end]) in blobs:
                raise Refusal(400, "", f"{'/'.join(parts[:end])} is both a file and a folder")
    card = blobs.get("README.md")
    if card is not None:
        findings = check(card.content.decode(), kind.removesuffix("s"))
        if findings.errors:
            raise Refusal(400, "", "\n".join(findings.errors), **findings.document())
