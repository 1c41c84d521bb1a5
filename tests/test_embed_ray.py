from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from embed_samples import read_rows
from identify_samples import CommandLine, write_pictures, write_run

from herbzoo import Identifier
from herbzoo.data.readers import open_images
from herbzoo.errors import HerbzooError
from herbzoo.index import EmbeddingModel, embed_collection

IMAGES = 40


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def sheets(tmp_path_factory) -> Path:
    sheets = write_pictures(tmp_path_factory.mktemp("data") / "sheets", IMAGES)
    (sheets / "7.png").write_text("a label, not a picture")
    (sheets / "9.png").write_bytes((sheets / "8.png").read_bytes()[:200])
    return sheets


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two cores, on which the tests connect and which they leave running."""
    pytest.importorskip("ray", reason='needs pip install "herbzoo[scale]"')
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def embed(monkeypatch, capsys, run, sheets):
    command = CommandLine(monkeypatch, capsys)

    def embed(output, *options, data=sheets):
        return command("embed", run, "--data", data, "--output", output, *options)

    return embed


def test_ray_gives_what_this_machine_gives(cluster, embed, tmp_path):
    code, out, err = embed(tmp_path / "ray.parquet", "--engine", "ray")
    assert (code, f"{IMAGES - 2} rows" in out) == (0, True), err
    embed(tmp_path / "local.parquet")
    frame, found = read_rows(tmp_path / "ray.parquet")
    expected_frame, expected = read_rows(tmp_path / "local.parquet")
    assert frame.equals(expected_frame)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    listed = [tmp_path / f"{name}.parquet.failures.csv" for name in ("ray", "local")]
    ours, theirs = (sorted(path.read_text().splitlines()) for path in listed)
    assert ours == theirs
    assert len(ours) == 3
    assert cluster.is_initialized(), "a cluster that was there before is left alone"


@pytest.mark.slow  # each starts a model on a worker
def test_one_engine_goes_on_where_the_other_was(cluster, embed, sheets, tmp_path):
    some = tmp_path / "some"
    some.mkdir()
    for number in (1, 2, 3):
        (some / f"{number}.png").symlink_to(some / f"own{number}.png")
        (some / f"own{number}.png").write_bytes((sheets / f"{number}.png").read_bytes())
    output = tmp_path / "out.parquet"
    embed(output, data=some)
    (some / "more.png").write_bytes((sheets / "5.png").read_bytes())
    _, out, _ = embed(output, "--engine", "ray", data=some)
    assert "1 images embedded now, 6 were there already" in out
    _, out, _ = embed(output, data=some)
    assert "0 images embedded now, 7 were there already" in out


@pytest.mark.slow
def test_decoding_and_the_model_are_stages_of_their_own(cluster, run, sheets):
    from herbzoo.index.ray_engine import RayEngine

    identifier = Identifier.from_pretrained(run, "cpu")
    collection = open_images(sheets)
    keys = collection.frame["image"].tolist()
    data = RayEngine(identifier)._dataset(keys, collection.images, 2).materialize()
    stages = data.stats()
    assert "MapBatches(_decode):" in stages
    assert "MapBatches(_ModelActor):" in stages


def test_a_device_that_the_cluster_lacks_is_one_line(cluster, embed, tmp_path):
    code, _, err = embed(tmp_path / "out.parquet", "--engine", "ray", "--dtype", "float7")
    assert (code, "there is no dtype 'float7'" in err) == (2, True)


def test_a_failing_cluster_loses_only_what_was_not_complete(run, sheets, tmp_path, cluster):
    from herbzoo.index.ray_engine import _ray_errors_in_one_line

    identifier = Identifier.from_pretrained(run, "cpu")
    model, output = EmbeddingModel.of(identifier), str(tmp_path / "out.parquet")

    def broken(collection):
        with _ray_errors_in_one_line():
            yield next(iter(identifier.embedded(collection, batch_size=5, workers=0)))
            raise cluster.exceptions.WorkerCrashedError

    with pytest.raises(HerbzooError, match="run the same command again"):
        embed_collection(open_images(sheets), broken, model, output)
    summary = embed_collection(open_images(sheets), identifier.embedded, model, output)
    assert (summary.reused, summary.rows) == (5, IMAGES - 2)


def test_without_ray_it_says_what_to_install(embed, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = embed(tmp_path / "out.parquet", "--engine", "ray")
    assert (code, 'pip install "herbzoo[scale]"' in err) == (2, True)


def test_a_cluster_that_does_not_answer_is_one_line_at_once(monkeypatch):
    ray = pytest.importorskip("ray", reason='needs pip install "herbzoo[scale]"')
    from herbzoo.index.ray_engine import _cluster

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: pytest.fail("it tries for many minutes"))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(HerbzooError, match="check RAY_ADDRESS"), _cluster():
        pass
