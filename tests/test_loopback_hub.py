"""The loopback Hub takes what the real client sends, keeps it, and fails when it is told to."""

from __future__ import annotations

import hashlib
import time

import pytest
from loopback_hub import Fault
from loopback_user import FILES, PLOT, WEIGHTS, calls, commit, downloaded, fill, refused, upload

pytest_plugins = ["hub_fixtures"]


def test_whoami_tells_where_one_may_write(member):
    user = member(calls, "whoami", {})
    assert (user["name"], user["auth"]["accessToken"]["role"]) == ("member", "write")
    assert {org["name"]: org["roleInOrg"] for org in user["orgs"]} == {
        "org": "write",
        "others": "read",
    }


def test_a_folder_comes_back_byte_by_byte(member, hub, small_folder):
    url = member(calls, "create_repo", {"private": True}, "org/made")
    assert url == f"{hub.url}/org/made"
    newest = member(upload, "org/made", small_folder)
    assert member(downloaded, "org/made", "main") == FILES
    assert member(downloaded, "org/made", newest) == FILES
    assert sorted(hub.received) == sorted(hashlib.sha256(c).hexdigest() for c in (WEIGHTS, PLOT))
    listed = member(calls, "list_repo_tree", {"recursive": True, "expand": True}, "org/made")
    large = {entry.path for entry in listed if getattr(entry, "lfs", None)}
    assert large == {"figures/plot.png", "model.safetensors"}
    info = member(calls, "model_info", {"files_metadata": True}, "org/made")
    assert (info.sha, info.private, info.card_data["license"]) == (newest, True, "mit")
    sizes = {file.rfilename: file.size for file in info.siblings}
    assert sizes["model.safetensors"] == len(WEIGHTS)


def test_what_is_there_already_is_not_sent_again(member, hub, small_repo, small_folder):
    first = member(upload, small_repo, small_folder)
    hub.forget()
    assert member(upload, small_repo, small_folder) == first
    assert hub.received == []
    assert not [one for one in hub.requests if one.startswith("PUT") or "/commit/" in one]
    fill(small_folder, {"config.json": b"{}\n"})
    member(upload, small_repo, small_folder)
    assert hub.received == []
    assert member(downloaded, small_repo, "main") == FILES | {"config.json": b"{}\n"}


def test_a_large_file_may_come_in_parts(member, hub, small_repo, small_folder, monkeypatch):
    monkeypatch.setattr(hub, "largest_at_once", 200_000)
    monkeypatch.setattr(hub, "part_size", 70_000)
    member(upload, small_repo, small_folder)
    assert sum(one.startswith("PUT /upload/") for one in hub.requests) == 5 + 1
    assert member(downloaded, small_repo, "main") == FILES


def test_names_stay_with_their_commit(member, small_repo, small_folder):
    first = member(upload, small_repo, small_folder)
    member(calls, "create_tag", {"tag": "v1", "tag_message": "The first"}, small_repo)
    member(calls, "create_branch", {"branch": "next", "revision": "v1"}, small_repo)
    changed = [("config.json", b"2"), ("empty.bin", None)]
    second = member(commit, small_repo, changed, {"parent_commit": first})
    third = member(commit, small_repo, [("figures/", None)], {"revision": "next"})
    after = {path: content for path, content in FILES.items() if path != "empty.bin"}
    assert member(downloaded, small_repo, "v1") == FILES
    assert member(downloaded, small_repo, first[:8]) == FILES
    assert member(downloaded, small_repo, "main") == after | {"config.json": b"2"}
    assert "figures/plot.png" not in member(downloaded, small_repo, "next")
    refs = member(calls, "list_repo_refs", {}, small_repo)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": second, "next": third}
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1": first}
    history = member(calls, "list_repo_commits", {}, small_repo)
    assert [entry.commit_id for entry in history][:2] == [second, first]
    member(calls, "delete_tag", {"tag": "v1"}, small_repo)
    member(calls, "delete_branch", {"branch": "next"}, small_repo)
    refs = member(calls, "list_repo_refs", {}, small_repo)
    assert ([ref.name for ref in refs.branches], refs.tags) == (["main"], [])


def test_a_pull_request_has_a_branch_of_its_own(member, small_repo, small_folder):
    before = member(downloaded, small_repo, "main")
    sent = member(
        calls,
        "upload_folder",
        {"repo_id": small_repo, "folder_path": small_folder, "create_pr": True},
    )
    assert (sent.pr_num, sent.pr_revision) == (1, "refs/pr/1")
    assert member(downloaded, small_repo, "main") == before
    assert member(downloaded, small_repo, "refs/pr/1") == FILES
    empty = member(calls, "create_pull_request", {"title": "By hand"}, small_repo)
    assert (empty.num, empty.status) == (2, "draft")
    member(commit, small_repo, [("config.json", b"3")], {"revision": "refs/pr/2"})
    assert member(calls, "get_discussion_details", {}, small_repo, 2).status == "open"
    refs = member(calls, "list_repo_refs", {"include_pull_requests": True}, small_repo)
    assert [ref.ref for ref in refs.pull_requests] == ["refs/pr/1", "refs/pr/2"]


def test_a_change_may_be_proposed_where_one_may_not_write(member, hub, small_folder):
    hub.add("others/theirs", {"main": {"config.json": b"{}"}})
    sent = member(
        calls,
        "upload_folder",
        {"repo_id": "others/theirs", "folder_path": small_folder, "create_pr": True},
    )
    assert sent.pr_url == f"{hub.url}/others/theirs/discussions/1"
    member(commit, "others/theirs", [("config.json", b"2")], {"revision": "refs/pr/1"})
    assert member(downloaded, "others/theirs", "refs/pr/1") == FILES | {"config.json": b"2"}


def test_a_space_says_what_its_card_says(member, hub, tmp_path):
    named = {"repo_type": "space", "space_sdk": "gradio", "exist_ok": True}
    for _ in range(2):
        url = member(calls, "create_repo", named, "org/demo")
        assert url == f"{hub.url}/spaces/org/demo"
    card = (
        "---\ntitle: Demo\nemoji: 🌿\nsdk: gradio\nsdk_version: 6.31.0\nmodels: [org/model]\n---\n"
    )
    files = {"README.md": card.encode(), "app.py": b"print()\n"}
    member(upload, "org/demo", fill(tmp_path, files), {"repo_type": "space"})
    info = member(calls, "space_info", {}, "org/demo")
    assert (info.sdk, info.models, info.runtime.stage) == ("gradio", ["org/model"], "BUILDING")
    assert member(downloaded, "org/demo", "main", "space") == files


def test_settings_and_removal_are_seen_by_others(client, member, small_repo):
    def seen() -> int | None:
        try:
            client(calls, "model_info", {"token": False}, small_repo)
        except Exception:
            return client(refused, "model_info", {"token": False}, small_repo)[1]
        return 200

    assert seen() == 200
    member(calls, "update_repo_settings", {"private": True}, small_repo)
    assert seen() == 401
    member(calls, "update_repo_settings", {"private": False, "gated": "manual"}, small_repo)
    assert (seen(), member(calls, "model_info", {}, small_repo).gated) == (200, "manual")
    member(calls, "create_repo", {"private": True}, "org/short-lived")
    member(calls, "delete_repo", {}, "org/short-lived")
    assert member(refused, "model_info", {}, "org/short-lived")[1] == 404


# -- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("part_size", [0, 70_000])
def test_an_upload_that_breaks_off_is_sent_again(
    member, hub, small_repo, small_folder, monkeypatch, part_size
):
    if part_size:
        monkeypatch.setattr(hub, "largest_at_once", 100_000)
        monkeypatch.setattr(hub, "part_size", part_size)
    hub.uploads_to_cut.add("model.safetensors")
    member(upload, small_repo, small_folder)
    broken = [one for one in hub.requests if one.endswith(" broken")]
    assert len(broken) == 1 and hashlib.sha256(WEIGHTS).hexdigest() in broken[0]
    assert member(downloaded, small_repo, "main") == FILES


def test_a_commit_whose_connection_breaks_leaves_nothing_or_all(
    member, hub, small_repo, small_folder
):
    named = {"repo_id": small_repo, "folder_path": small_folder}
    before = hub.repositories["models", small_repo].find("main")
    hub.faults.append(Fault("commit"))
    assert member(refused, "upload_folder", named)[0] == "RemoteProtocolError"
    assert hub.repositories["models", small_repo].find("main") == before
    assert hub.has_received(WEIGHTS)
    hub.forget()
    hub.faults.append(Fault("commit", took_effect=True))
    assert member(refused, "upload_folder", named)[0] == "RemoteProtocolError"
    assert hub.received == [], "what came in before the first commit broke is still there"
    newest = hub.repositories["models", small_repo].find("main")
    assert newest != before
    assert member(upload, small_repo, small_folder) == newest, "there is nothing left to do"
    assert member(downloaded, small_repo, "main") == FILES


@pytest.mark.parametrize(
    ("route", "status", "retry_after", "seconds"),
    [("preupload", 503, None, 1), ("lfs_batch", 429, 1, 2)],
)
def test_the_client_tries_again_by_itself_where_it_does(
    member, hub, small_repo, small_folder, route, status, retry_after, seconds
):
    hub.faults.append(Fault(route, status, retry_after=retry_after))
    began = time.monotonic()
    member(upload, small_repo, small_folder)
    assert time.monotonic() - began >= seconds
    assert member(downloaded, small_repo, "main") == FILES


@pytest.mark.parametrize(("status", "said"), [(503, "503"), (429, "429 Too Many Requests")])
def test_the_client_gives_up_at_once_where_it_does(
    member, hub, small_repo, small_folder, status, said
):
    before = hub.repositories["models", small_repo].find("main")
    hub.faults.append(Fault("commit", status, retry_after=60))
    found = member(refused, "upload_folder", {"repo_id": small_repo, "folder_path": small_folder})
    assert found[:2] == ("HfHubHTTPError", status) and said in found[2]
    assert hub.repositories["models", small_repo].find("main") == before
    member(upload, small_repo, small_folder)
    assert member(downloaded, small_repo, "main") == FILES
