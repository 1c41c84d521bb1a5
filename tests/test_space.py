"""A Space for a published model: written, looked at, and pushed to a Hub of our own."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from loopback_hub import Fault
from served_demo import indexed
from tiny import coloured_leaves, save_run, tiny_model

from herbzoo.errors import HerbzooError
from herbzoo.hub.refusals import HubError
from herbzoo.hub.space import push_space, write_space
from herbzoo.index import SpecimenIndex

pytest_plugins = ["hub_fixtures"]


def refused(*given: str) -> str:
    try:
        push_space(*given)
    except HerbzooError as error:
        return str(error)
    return "it was taken"


def shown(repo_id: str) -> tuple[list[str], str, str, list[str]]:
    from huggingface_hub import HfApi

    info = HfApi().space_info(repo_id)
    files = sorted(entry.rfilename for entry in info.siblings or ())
    return files, info.sdk, info.card_data["title"], info.card_data["models"]


def test_a_space_shows_the_model_it_was_made_for(member, hub, arcface):
    page = member(push_space, arcface, "org/leaves-demo", "Leaves of the Alps")
    assert page == f"{hub.url}/spaces/org/leaves-demo"
    files, sdk, title, models = member(shown, "org/leaves-demo")
    assert {"README.md", "app.py", "requirements.txt"} <= set(files)
    assert (sdk, title, models) == ("gradio", "Leaves of the Alps", [arcface])
    member(push_space, f"{arcface}@v1", "org/leaves-demo", "Leaves")
    assert member(shown, "org/leaves-demo")[2:] == ("Leaves", [arcface])
    app = hub.repositories["spaces", "org/leaves-demo"].files("main")["app.py"].content.decode()
    assert f"MODEL = '{arcface}@v1'" in app


def test_what_a_space_cannot_show_is_refused_before_it_is_made(member, hub, arcface, runs):
    assert "herbzoo push" in member(refused, str(runs["main"]), "org/of-a-folder")
    assert "no such repository" in member(refused, "org/nothing", "org/of-nothing")
    assert "would belong to others" in member(refused, arcface, "others/of-others")
    assert "names no repository" in member(refused, arcface, "demo")
    assert not [key for key in hub.repositories if key[0] == "spaces" and "/of-" in key[1]]


def test_a_space_that_shows_something_else_is_left_alone(member, hub, arcface):
    hub.add("org/game", {"main": {"app.py": b"play()", "README.md": b""}}, kind="spaces")
    assert "shows something else" in member(refused, arcface, "org/game")


def test_a_space_whose_commit_breaks_off_is_completed_by_a_second_try(member, hub, arcface):
    hub.faults.append(Fault("commit"))
    assert "run the same command again" in member(refused, arcface, "org/second-try")
    member(push_space, arcface, "org/second-try")
    assert "app.py" in member(shown, "org/second-try")[0]


def test_the_app_of_a_space_starts_the_demo_of_its_model(tmp_path, monkeypatch):
    import herbzoo.demo.app

    run = save_run(tmp_path / "a_run", *tiny_model(head="softmax"))
    folder = tmp_path / "space"
    write_space(str(run), folder)
    started = []
    monkeypatch.setattr(herbzoo.demo.app, "launch", lambda model, **how: started.append(model))
    runpy.run_path(str(folder / "app.py"), run_name="__main__")
    assert started == [str(run)]
    assert "herbzoo[demo,offline]==" in (folder / "requirements.txt").read_text()


def test_a_space_takes_the_index_of_its_model_along(tmp_path, monkeypatch):
    import herbzoo.demo.app

    run = save_run(tmp_path / "a_run", *tiny_model(head="softmax"))
    index = indexed(run, coloured_leaves(tmp_path / "leaves", 1), tmp_path / "sheets")
    folder = tmp_path / "space"
    write_space(str(run), folder, index=index)
    started = []
    monkeypatch.setattr(herbzoo.demo.app, "launch", lambda model, **how: started.append(how))
    runpy.run_path(str(folder / "app.py"), run_name="__main__")
    assert len(SpecimenIndex.open(started[0]["index"])) == 3
    assert "herbzoo[demo,offline,search]==" in (folder / "requirements.txt").read_text()
    with pytest.raises(HerbzooError, match="no folder here"):
        write_space(str(run), tmp_path / "other", index=tmp_path / "none")


def pushed(model: str, repo_id: str, index: Path | None) -> list[str]:
    from huggingface_hub import HfApi

    push_space(model, repo_id, index=index)
    return HfApi().list_repo_files(repo_id, repo_type="space")


def test_a_space_is_pushed_with_its_index_and_later_without(member, hub, arcface, runs, tmp_path):
    index = indexed(runs["main"], coloured_leaves(tmp_path / "leaves", 1), tmp_path / "sheets")
    files = member(pushed, arcface, "org/leaves-search", index)
    sent = {f"index/{path.relative_to(index)}" for path in index.rglob("*") if path.is_file()}
    assert sent and sent <= set(files)
    files = member(pushed, arcface, "org/leaves-search", None)
    assert not [name for name in files if name.startswith("index/")] and "app.py" in files


def test_a_folder_that_holds_something_is_not_written_to(tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(HerbzooError, match="not an empty folder"):
        write_space("org/model", tmp_path)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["kept.txt"]


def test_an_id_without_an_owner_is_refused():
    with pytest.raises(HubError, match="organisation/name"):
        push_space("org/model", "demo")
