"""A Space for a published model: written, looked at, and pushed to a Hub of our own."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from loopback_hub import Fault
from tiny import save_run, tiny_model

from herbzoo.errors import HerbzooError
from herbzoo.hub.refusals import HubError
from herbzoo.hub.space import push_space, write_space

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


def test_a_folder_that_holds_something_is_not_written_to(tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(HerbzooError, match="not an empty folder"):
        write_space("org/model", tmp_path)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["kept.txt"]


def test_an_id_without_an_owner_is_refused():
    with pytest.raises(HubError, match="organisation/name"):
        push_space("org/model", "demo")
