"""The loopback Hub refuses what the Hub refuses, in the words that the real client reads."""

from __future__ import annotations

import base64
import hashlib
import json
from http.client import HTTPConnection
from typing import Any

import pytest
from loopback_hub import READ_TOKEN, TOKEN, LoopbackHub
from loopback_user import calls, downloaded, refused, upload

pytest_plugins = ["hub_fixtures"]


def test_without_the_right_token_nothing_can_be_written(client, hub, small_repo, small_folder):
    (small_folder / "README.md").unlink()  # or the first to refuse would be who reads cards
    named = {"repo_id": small_repo, "folder_path": small_folder}
    for token, status, message in (
        (False, 401, "Invalid username or password"),
        ("hf_unheard_of", 401, "Invalid credentials in Authorization header"),
        (READ_TOKEN, 403, "Authorization error"),
    ):
        kind, code, said = client(refused, "upload_folder", named | {"token": token})
        assert (kind, code) == ("HfHubHTTPError", status) and message in said
        kind, code, _ = client(refused, "create_repo", {"token": token}, "org/other")
        assert (kind, code) == ("HfHubHTTPError", status)
    assert client(refused, "whoami", {"token": "hf_unheard_of"})[1] == 401
    assert client(refused, "whoami", {})[0] == "LocalTokenNotFoundError"
    assert hub.received == [] and ("models", "org/other") not in hub.repositories


def test_names_of_others_and_names_that_exist_are_refused(member, hub, small_repo, small_folder):
    hub.add("strangers/secret", {"main": {}}, private=True)
    hub.add("others/public", {"main": {}})
    _, status, message = member(refused, "create_repo", {}, "strangers/new")
    assert status == 403 and 'create a model under the namespace "strangers"' in message
    assert member(refused, "create_repo", {}, "others/new")[1] == 403
    _, status, message = member(refused, "create_repo", {}, small_repo)
    assert status == 409 and "You already created this model repo" in message
    assert member(calls, "create_repo", {"exist_ok": True}, small_repo) == f"{hub.url}/{small_repo}"
    named = {"folder_path": small_folder}
    assert member(refused, "upload_folder", named | {"repo_id": "others/public"})[1] == 403
    for missing in ("strangers/secret", "org/nothing"):
        found = member(refused, "upload_folder", named | {"repo_id": missing})
        assert found[:2] == ("RepositoryNotFoundError", 404)
        assert member(refused, "model_info", {}, missing)[:2] == found[:2]
    assert hub.received == []


@pytest.mark.parametrize(
    ("name", "named", "kind", "status"),
    [
        ("create_tag", {"tag": "v1"}, "HfHubHTTPError", 409),
        ("create_tag", {"tag": "v2", "revision": "nowhere"}, "RevisionNotFoundError", 404),
        ("create_tag", {"tag": "v 2"}, "BadRequestError", 400),
        ("create_branch", {"branch": "main"}, "HfHubHTTPError", 409),
        ("create_branch", {"branch": "refs/pr/5"}, "BadRequestError", 400),
        ("delete_branch", {"branch": "main"}, "HfHubHTTPError", 403),
        ("delete_tag", {"tag": "v3"}, "RevisionNotFoundError", 404),
        ("delete_file", {"path_in_repo": "no.txt"}, "RemoteEntryNotFoundError", 404),
        ("delete_folder", {"path_in_repo": "no"}, "RemoteEntryNotFoundError", 404),
        ("model_info", {"revision": "nowhere"}, "RevisionNotFoundError", 404),
    ],
)
def test_what_does_not_fit_the_repository_is_refused(member, small_repo, name, named, kind, status):
    member(calls, "create_tag", {"tag": "v1"}, small_repo)
    assert member(refused, name, named | {"repo_id": small_repo})[:2] == (kind, status)


def test_a_commit_on_what_is_no_longer_the_newest_is_refused(member, small_repo, small_folder):
    first = member(calls, "model_info", {}, small_repo).sha
    second = member(upload, small_repo, small_folder)
    named = {"repo_id": small_repo, "path_or_fileobj": b"x", "path_in_repo": "x.txt"}
    found = member(refused, "upload_file", named | {"parent_commit": first})
    assert found[1] == 412 and "A commit has happened since" in found[2]
    for revision in (second, "nowhere"):
        found = member(refused, "upload_file", named | {"revision": revision})
        assert found[:2] == ("RevisionNotFoundError", 404)
    sent = member(calls, "upload_file", named | {"parent_commit": first, "create_pr": True})
    assert "model.safetensors" not in member(downloaded, small_repo, sent.pr_revision)


@pytest.mark.parametrize(
    ("kind", "metadata", "message"),
    [
        ("model", "license: MIT", '"license" must be one of [apache-2.0, mit'),
        ("model", "tags: [1]", '"tags[0]" must be a string'),
        ("model", "base_model: a b", '"base_model" with value "a b" is not valid'),
        ("model", "license: [", "YAML"),
        ("model", "model-index: {name: x}", '"model-index" must be an array'),
        ("model", "model-index: [{results: []}]", '"model-index[0].name" is required'),
        (
            "model",
            "model-index: [{name: x, results: [{task: {type: image-classification}, "
            "dataset: {type: two words, name: y}, metrics: [{type: accuracy, value: 1}]}]}]",
            '"model-index[0].results[0].dataset.type" with value "two words" fails to match',
        ),
        (
            "model",
            "model-index: [{name: x, results: [{task: {type: image-classification}, "
            "dataset: {type: x, name: y}, metrics: [{type: accuracy}]}]}]",
            '"model-index[0].results[0].metrics[0].value" is required',
        ),
        ("space", "title: x", '"sdk" is required'),
        ("space", "sdk: streamlit", '"sdk" must be one of [gradio, docker, static]'),
        ("space", "{sdk: gradio, colorTo: brown}", '"colorTo" must be one of [red, yellow'),
        ("space", "{sdk: gradio, emoji: leaf}", '"emoji" must be a single emoji'),
        ("space", "{sdk: gradio, emoji: 🌿🌿}", '"emoji" must be a single emoji'),
        ("space", "{sdk: gradio, pinned: maybe}", '"pinned" must be a boolean'),
        ("space", f"{{sdk: gradio, short_description: {'x' * 61}}}", "less than or equal to 60"),
    ],
)
def test_a_card_with_wrong_metadata_is_refused(member, hub, small_repo, kind, metadata, message):
    hub.add(small_repo, {"main": {}}, "spaces")
    card = f"---\n{metadata}\n---\n# A card\n"
    named = {"repo_type": kind, "path_in_repo": "README.md", "repo_id": small_repo}
    found = member(refused, "upload_file", named | {"path_or_fileobj": card.encode()})
    assert found[0] == "ValueError" and message in found[2]
    status, said = send(
        hub, "POST", f"/api/{kind}s/{small_repo}/commit/main", *ndjson_of(card.encode())
    )
    assert status == 400 and message in said["error"]


def test_what_is_only_unusual_in_a_card_is_a_warning(member, hub):
    model_index = (
        "model-index: [{name: x, results: [{task: {type: image-classification}, "
        "dataset: {type: org/x, name: y}, metrics: [{type: accuracy, value: 0.5}]}]}]"
    )
    for kind, text, warnings in (
        ("model", f"---\nlicense: cc-by-4.0\n{model_index}\n---\n", 0),
        ("model", "---\npipeline_tag: plant-finding\n---\n", 1),
        ("model", "# No metadata\n", 1),
        ("space", "---\nsdk: gradio\nemoji: 👩‍🔬\ncolorFrom: green\n---\n", 0),
    ):
        body = json.dumps({"content": text, "repoType": kind}).encode()
        status, said = send(hub, "POST", "/api/validate-yaml", body, {})
        assert (status, said["errors"], len(said["warnings"])) == (200, [], warnings)


# -- what the client never sends ------------------------------------------------------------------


def send(
    hub: LoopbackHub, method: str, path: str, body: bytes, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """Sends one request by hand; returns status and document."""
    connection = HTTPConnection(hub.url.removeprefix("http://"), timeout=10)
    signed = {"Authorization": f"Bearer {TOKEN}"} if headers is None else headers
    connection.request(method, path, body, signed)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content or b"{}")


def ndjson(*entries: Any) -> tuple[bytes, dict[str, str]]:
    """Returns body and headers of a commit."""
    lines = [entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in entries]
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/x-ndjson"}
    return b"\n".join(lines), headers


def ndjson_of(content: bytes, path: str = "README.md") -> tuple[bytes, dict[str, str]]:
    text = base64.b64encode(content).decode()
    value = {"path": path, "content": text, "encoding": "base64"}
    return ndjson(HEADER, {"key": "file", "value": value})


HEADER = {"key": "header", "value": {"summary": "Change", "description": ""}}
POINTER = {"path": "a.bin", "algo": "sha256", "oid": hashlib.sha256(b"a").hexdigest(), "size": 1}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ndjson(), "begins with its header"),
        (ndjson({"key": "file", "value": {"path": "a"}}), "begins with its header"),
        (ndjson({"key": "header", "value": {"summary": ""}}), '"summary" is not allowed'),
        (ndjson(HEADER, b"{"), "Invalid NDJSON in line 2"),
        (ndjson(HEADER, b'["file"]'), "Invalid NDJSON in line 2"),
        (ndjson(HEADER, {"key": "lfsFile", "value": POINTER}), "a file that does not exist"),
        (ndjson_of(b"x", "../x"), '"path" is not valid'),
        (ndjson_of(b"x", ".git/config"), '"path" is not valid'),
        (ndjson_of(b"a\0b", "x.txt"), "it contains binary files"),
        (ndjson_of(b"x", "config.json/x"), "config.json is both a file and a folder"),
    ],
)
def test_a_commit_that_is_not_in_order_changes_nothing(hub, small_repo, request_, message):
    before = hub.repositories["models", small_repo].refs.copy()
    status, said = send(hub, "POST", f"/api/models/{small_repo}/commit/main", *request_)
    assert status == 400 and message in said["error"]
    assert hub.repositories["models", small_repo].refs == before


def test_large_files_are_checked_as_they_come(hub, small_repo):
    lfs = dict.fromkeys(("Accept", "Content-Type"), "application/vnd.git-lfs+json")
    signed = {"Authorization": f"Bearer {TOKEN}", **lfs}
    oid = hashlib.sha256(b"right").hexdigest()
    given = {"operation": "upload", "transfers": ["basic"], "hash_algo": "sha256"}
    body = json.dumps(given | {"objects": [{"oid": oid, "size": 5}]}).encode()
    status, said = send(hub, "POST", f"/{small_repo}.git/info/lfs/objects/batch", body, signed)
    place = said["objects"][0]["actions"]["upload"]["href"].removeprefix(hub.storage_url)
    status, said = send(hub, "PUT", place, b"wrong", {})
    assert status == 400 and "another SHA-256" in said["error"]
    verify = json.dumps({"oid": oid, "size": 5}).encode()
    assert send(hub, "POST", f"/{small_repo}.git/info/lfs/verify", verify)[0] == 404
    assert send(hub, "PUT", place.partition("?")[0], b"right", {})[0] == 403
    assert send(hub, "PUT", place, b"right", {})[0] == 200
    assert send(hub, "POST", f"/{small_repo}.git/info/lfs/verify", verify)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/models/org/model/unheard-of", b""),
        ("PUT", "/api/models/org/model/commit/main", b""),
        ("POST", "/api/repos/create", b'{"name": "a", "organization": "org", "colour": "red"}'),
        ("PUT", "/upload/" + "0" * 64, b""),
        ("POST", "/api/models/org/model/preupload/main", b'{"files": [], "gitIgnore": "*"}'),
    ],
)
def test_a_request_without_an_answer_is_remembered(method, path, body):
    """Also a token that is shown to the storage."""
    hub = LoopbackHub()
    hub.add("org/model", {"main": {}})
    hub.start()
    try:
        assert send(hub, method, path, body)[0] == 501
        assert [one.split("\n")[0] for one in hub.unanswered] == [f"{method} {path}"]
    finally:
        hub.stop()
