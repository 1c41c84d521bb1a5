"""The Review tab of the demo in a real browser, with a server that comes and goes."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
import torch
from review_samples import flora_cases, write_results
from reviewer import count, downloaded, introduce, place, press, rows_of
from test_browser_space import CONTRAST, PHONE, widest
from tiny import save_run, tiny_model

from herbzoo.data.decisions import read_rows

pytest_plugins = ["demo_fixtures", "review_pages"]
pytestmark = pytest.mark.browser

SERVER = Path(__file__).with_name("killed_review.py")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    return save_run(tmp_path_factory.mktemp("run") / "flora", *tiny_model(head="softmax"))


@pytest.fixture
def folder(results, tmp_path):
    return shutil.copytree(results, tmp_path / "results")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def server(run: Path, folder: Path, port: int):
    command = [sys.executable, str(SERVER), str(run), str(folder), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = monotonic() + 120
        while monotonic() < end and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/").close()
                break
            except (urllib.error.URLError, OSError):
                sleep(0.3)
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for_rows(folder: Path, number: int) -> list[tuple[str, str]]:
    file, end = folder / "decisions.csv", monotonic() + 30
    while monotonic() < end:
        if file.is_file() and len(read_rows(file)) >= number:
            break
        sleep(0.1)
    return [(row.caseID, row.decision) for row in read_rows(file)]


def test_the_tab_writes_each_decision_at_once_and_shows_what_others_decide(opened, run, folder):
    port = free_port()
    with server(run, folder, port):
        page = opened(f"http://127.0.0.1:{port}")
        press(page, "a")
        introduce(page)
        ids = [case.id for case in flora_cases(8)[1]]
        assert wait_for_rows(folder, 1) == [(ids[0], "agree")]
        other = opened(f"http://127.0.0.1:{port}")
        count(other, 1)
        assert place(other) == "case 2 of 8", "goes on with what is undecided"
        press(other, "u")
        introduce(other, "Al Other")
        wait_for_rows(folder, 2)
        press(page, "r")  # of the case that the other has decided meanwhile
        count(page, 2)
        assert wait_for_rows(folder, 3)[1:] == [(ids[1], "unsure"), (ids[1], "reject")]
        press(page, "k")
        page.wait_for_selector(".rv-stamp:has-text('Al Other: unsure')")
        page.reload()
        page.get_by_role("tab", name="Review").click()
        count(page, 2)
        page.context.close()
        other.context.close()


def test_a_server_that_is_killed_between_two_keys_loses_nothing_and_doubles_nothing(
    opened, run, folder
):
    port = free_port()
    ids = [case.id for case in flora_cases(8)[1]]
    with server(run, folder, port) as process:
        page = opened(f"http://127.0.0.1:{port}", away=True)
        press(page, "u")
        introduce(page)
        wait_for_rows(folder, 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        press(page, "r", "u", "u")
        page.wait_for_selector(".rv-alert:has-text('does not answer')")
        page.wait_for_selector(".rv-saved:has-text('decisions wait in this browser')")
        count(page, 4)
    file = folder / "decisions.csv"
    file.write_bytes(file.read_bytes() + b"half a li")  # as a crash may leave it
    with server(run, folder, port):
        assert wait_for_rows(folder, 4) == [
            *((ids[0], "unsure"), (ids[1], "reject"), (ids[2], "unsure"), (ids[3], "unsure"))
        ]
        page.wait_for_selector(".rv-saved:has-text('Saved on the server')")
        sleep(3)  # whatever would be sent twice
        assert len(read_rows(file)) == 4
        count(page, 4)


def test_decisions_that_wait_are_sent_by_a_page_that_is_opened_later(opened, run, folder):
    port = free_port()
    with server(run, folder, port) as process:
        page = opened(f"http://127.0.0.1:{port}", away=True)
        press(page, "u")
        introduce(page)
        wait_for_rows(folder, 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        press(page, "r")
        page.wait_for_selector(".rv-saved:has-text('in this browser for the server')")
        context = page.context
        page.close()
    with server(run, folder, port):
        later = opened(f"http://127.0.0.1:{port}", context=context, away=True)
        assert [what for _, what in wait_for_rows(folder, 2)] == ["unsure", "reject"]
        count(later, 2)


def test_what_the_server_refuses_stays_in_the_browser_and_in_the_download(opened, run, folder):
    port = free_port()
    collection, cases = flora_cases(8)
    with server(run, folder, port) as process:
        page = opened(f"http://127.0.0.1:{port}", away=True)
        press(page, "u")
        introduce(page)
        wait_for_rows(folder, 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        press(page, "u", "u")
        page.wait_for_selector(".rv-saved:has-text('2 decisions wait')")
    write_results(folder, collection, [cases[0], *cases[2:]])  # the second is listed no more
    with server(run, folder, port):
        assert [case for case, _ in wait_for_rows(folder, 2)] == [cases[0].id, cases[2].id]
        page.wait_for_selector(".rv-alert:has-text('not on this list any more')")
        page.reload()
        page.get_by_role("tab", name="Review").click()
        count(page, 2, 7)
        assert {row["caseID"] for row in rows_of(downloaded(page))} == {one.id for one in cases[:3]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tab_fits_a_phone_and_can_be_read(opened, run, folder, scheme):
    port = free_port()
    with server(run, folder, port):
        page = opened(f"http://127.0.0.1:{port}", size=PHONE, scheme=scheme)
        assert widest(page) == PHONE["width"]
        contrasts = page.evaluate(CONTRAST.replace("[class^=hz]", "[class^=rv]"))
        assert len(contrasts) > 15 and not [one for one in contrasts if one[0] < 4.5]
        bottom = page.locator(".rv-actions").evaluate("e => e.getBoundingClientRect().bottom")
        assert bottom <= PHONE["height"] + 1, "the keys are always at hand"
        page.context.close()
