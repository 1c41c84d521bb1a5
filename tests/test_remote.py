"""Images on the web: asked for politely, from the hosts that were named, once."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from loopback_images import ELSEWHERE, HOST, Answer, jpeg, serving_images

from herbzoo.data.image_cache import ImageCache, Kept, cache_folder
from herbzoo.data.pace import MAX_MISSES, Pace
from herbzoo.data.remote import RemoteImages
from herbzoo.data.web import FetchError, NotAsked, Web
from herbzoo.errors import DataError, ImageError

BOTH = frozenset({HOST, ELSEWHERE})


@pytest.fixture
def server():
    with serving_images() as images:
        yield images


def source(**options):
    """Returns images of 127.0.0.1, asked for fast."""
    plain = RemoteImages(frozenset({HOST}), 64, 500.0, frozenset({HOST}), backoff=0.01)
    return replace(plain, **options)


def web(tmp_path, **options):
    options = {"trusted": BOTH, "backoff": 0.01} | options
    return Web(frozenset({HOST}), Pace(tmp_path / "pace", 500.0), **options)


def refused(key, images=None):
    with pytest.raises(ImageError) as error:
        (images or source()).open(key)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_image_is_asked_for_once_by_all_processes(server):
    link = server.put("/a.jpg", jpeg())
    assert source().open(link).size == (40, 60)
    again = pickle.loads(pickle.dumps(source()))
    assert again.open(link, (32, 32)).size == (40, 60)
    assert server.paths() == ["/a.jpg"]


def test_the_host_is_told_who_asks(server):
    source().open(server.put("/a.jpg", jpeg()))
    assert server.asked[0].agent.startswith("herbzoo/")


def test_a_large_file_is_scaled_down_before_it_is_kept(server):
    link = server.put("/a.jpg", jpeg((400, 600)))
    kept = source().kept(link)
    assert source().open(link).size == (43, 64)
    assert kept.size == 64


def test_a_small_file_is_kept_as_it_is(server):
    content = jpeg((30, 40))
    kept = source().kept(server.put("/a.jpg", content))
    assert kept.path.read_bytes() == content
    assert kept.size is None


def test_whole_files_are_kept_where_no_size_is_set(server):
    content = jpeg((400, 600))
    assert source(size=None).encoded(server.put("/a.jpg", content)) == content


def test_what_is_kept_too_small_is_fetched_anew_and_larger(server):
    link = server.put("/a.jpg", jpeg((400, 600)))
    small = source().kept(link)
    assert source().open(link, (200, 200)).size == (134, 200)
    assert source().open(link).size == (134, 200)
    assert server.paths() == ["/a.jpg"] * 2
    assert not small.path.exists()


def test_what_is_kept_small_serves_on_if_the_host_is_gone(server):
    link = server.put("/a.jpg", jpeg((400, 600)), Answer(status=404))
    source().open(link)
    assert source().open(link, (200, 200)).size == (43, 64)


def test_the_fingerprint_is_of_the_content(server):
    first = source().fingerprint(server.put("/a.jpg", jpeg(colour="green")))
    second = source().fingerprint(server.put("/b.jpg", jpeg(colour="red")))
    assert first.rpartition(":")[2] != second.rpartition(":")[2]
    assert source().fingerprint(server.url("/a.jpg")) == first


def test_the_rate_holds_across_processes(server):
    links = [server.put(f"/{i}.jpg", jpeg()) for i in range(10)]
    program = (
        "import sys; from herbzoo.data.remote import RemoteImages\n"
        f"images = RemoteImages(frozenset({{'{HOST}'}}), 64, 10.0, frozenset({{'{HOST}'}}))\n"
        "for link in sys.argv[1:]: images.open(link)"
    )
    halves = (links[::2], links[1::2])
    runs = [subprocess.Popen([sys.executable, "-c", program, *half]) for half in halves]
    assert [run.wait(60) for run in runs] == [0, 0]
    times = sorted(asked.at for asked in server.asked)
    assert len(times) == 10
    assert times[-1] - times[0] > 0.8  # nine intervals of a tenth of a second


def test_a_missing_image_is_remembered_and_not_asked_for_again(server):
    link = server.url("/gone.jpg")
    assert "404" in refused(link)
    assert "404" in refused(link)
    assert server.paths() == ["/gone.jpg"]
    with pytest.raises(ImageError):
        source().kept(link, again=True)
    assert len(server.asked) == 2


def test_a_failure_is_tried_again_when_its_time_has_come(server, monkeypatch):
    link = server.put("/a.jpg", Answer(status=404), jpeg())
    refused(link)
    later = time.time() + 31 * 24 * 3600
    monkeypatch.setattr("herbzoo.data.remote.time.time", lambda: later)
    source().open(link)


def test_a_busy_host_is_given_the_time_it_asks_for(server):
    link = server.put("/a.jpg", Answer(status=429, headers={"Retry-After": "1"}), jpeg())
    source().open(link)
    assert server.asked[1].at - server.asked[0].at > 0.95


def test_a_host_that_asks_for_hours_is_not_waited_for(server):
    link = server.put("/a.jpg", Answer(status=503, headers={"Retry-After": "7200"}))
    began = time.monotonic()
    assert "503" in refused(link)
    assert time.monotonic() - began < 2
    assert len(server.asked) == 1


def test_a_broken_host_is_tried_four_times(server):
    assert "500" in refused(server.put("/a.jpg", Answer(status=500)))
    assert len(server.asked) == 4


def test_a_web_page_is_no_image(server):
    page = b"<!DOCTYPE html><html><body>Please log in</body></html>"
    assert "web page" in refused(server.put("/a.jpg", page))
    assert not list(cache_folder().rglob("*.jpg"))


def test_a_body_that_breaks_off_is_fetched_again(server):
    content = jpeg()
    link = server.put("/a.jpg", Answer(content, cut=200), content)
    assert source().open(link).size == (40, 60)
    assert len(server.asked) == 2


def test_a_body_that_always_breaks_off_leaves_nothing(server):
    refused(server.put("/a.jpg", Answer(jpeg(), cut=200)))
    assert [path.suffix for path in cache_folder().rglob("*.*")] == [".json"]


def test_a_file_cut_short_at_the_source_is_no_image(server):
    assert "cut short" in refused(server.put("/a.jpg", jpeg((300, 300))[:-200]))


def test_a_redirection_on_the_host_is_followed(server):
    server.put("/b.jpg", jpeg())
    link = server.put("/a.jpg", Answer(status=302, headers={"Location": "/b.jpg"}))
    assert source().open(link).size == (40, 60)


def test_a_redirection_to_another_host_is_refused_unless_it_is_allowed(server):
    server.put("/b.jpg", jpeg())
    elsewhere = {"Location": server.url("/b.jpg", ELSEWHERE)}
    link = server.put("/a.jpg", Answer(status=302, headers=elsewhere))
    message = refused(link)
    assert "none of the hosts" in message and f"--host {ELSEWHERE}" in message
    assert [asked.host for asked in server.asked] == [HOST]
    source(trusted=BOTH).open(link)
    assert server.asked[-1].host == ELSEWHERE


def test_the_environment_may_allow_a_host(server, monkeypatch):
    monkeypatch.setenv("HERBZOO_HOSTS", f"x.org, {ELSEWHERE}")
    server.put("/b.jpg", jpeg())
    elsewhere = {"Location": server.url("/b.jpg", ELSEWHERE)}
    source().open(server.put("/a.jpg", Answer(status=302, headers=elsewhere)))


def test_redirections_without_end_are_given_up(server):
    link = server.put("/a.jpg", Answer(status=301, headers={"Location": "/a.jpg"}))
    assert "redirects" in refused(link)


def test_a_private_network_is_not_entered_unless_the_user_says_so(server):
    link = server.put("/a.jpg", jpeg())
    assert "private network" in refused(link, source(trusted=frozenset()))
    assert server.asked == []


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/a.jpg", "http://me:word@127.0.0.1/", "http://[:1/"],
)
def test_only_plain_web_addresses_are_asked(tmp_path, url):
    with pytest.raises(FetchError):
        web(tmp_path).get(url)


def test_a_file_over_the_limit_is_not_read(tmp_path, server):
    stated = server.put("/a.jpg", b"x" * 5000)
    unstated = server.put("/b.jpg", Answer(b"x" * 5000, chunked=True))
    for url in (stated, unstated):
        with pytest.raises(FetchError, match="larger than"):
            web(tmp_path).get(url, 4000)
    assert len(server.asked) == 2


def test_a_host_that_does_not_answer_is_left_alone(tmp_path):
    with serving_images() as images:
        closed = images.url("/a.jpg")
    asking = web(tmp_path, attempts=MAX_MISSES)
    with pytest.raises(FetchError, match="does not answer"):
        asking.get(closed)
    with pytest.raises(NotAsked, match="try again in 10 min"):
        asking.get(closed)


def test_a_cache_that_cannot_be_written_is_one_line(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HERBZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="HERBZOO_CACHE"):
        source().open(server.put("/a.jpg", jpeg()))


def test_a_record_that_is_damaged_is_fetched_anew(server):
    link = server.put("/a.jpg", jpeg())
    source().open(link)
    (record,) = cache_folder().rglob("*.json")
    record.write_text("{", encoding="utf-8")
    source().open(link)
    assert len(server.asked) == 2


def test_a_record_without_its_file_is_fetched_anew(server):
    link = server.put("/a.jpg", jpeg())
    os.unlink(source().kept(link).path)
    source().open(link)
    assert isinstance(ImageCache(cache_folder()).find(link), Kept)
