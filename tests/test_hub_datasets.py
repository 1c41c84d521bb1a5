"""Data sets from the Hub, fetched by the real clients, and what their tables may not open."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from herbzoo.data.readers import open_collection
from herbzoo.errors import DataError, ImageError

pytest_plugins = ["hub_fixtures"]

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


def described(data: str) -> dict[str, list]:
    """Opens a collection; returns what it says, with each image's colour or problem."""
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
    files = {
        f"data/{path.stem}-00000-of-00001.parquet": path.read_bytes() for path in (train, test)
    }
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
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            "metadata.csv", "file_name,species\na.png,Acer rubrum\nb.png,Rosa canina\n"
        )
        archive.writestr("a.png", png("red"))
        archive.writestr("b.png", png("blue"))
    hub.add("org/zipped", {"main": {"train.zip": buffer.getvalue()}}, "datasets")
    found = client(described, "org/zipped")
    assert found["scientificName"] == ["Acer rubrum", "Rosa canina"]
    assert found["colours"] == [COLOURS["red"], COLOURS["blue"]]


def test_a_data_set_that_cannot_be_had_is_one_clear_line(client, hub):
    with pytest.raises(DataError, match="the Hub shows no data set of that name") as unknown:
        client(described, "org/no-leaves")
    hub.add("org/gated", {"main": {"a.png": png("red")}}, "datasets", gated=True)
    with pytest.raises(DataError, match=r"'org/gated' cannot be loaded .*gated") as gated:
        client(described, "org/gated")
    hub.add("org/words", {"main": {"a.csv": b"species,height\nAcer rubrum,3\n"}}, "datasets")
    with pytest.raises(DataError, match="org/words has no image column") as imageless:
        client(described, "org/words")
    with hub.stopped(), pytest.raises(DataError, match="the Hub cannot be reached") as away:
        client(described, "org/no-leaves")
    for error in (unknown, gated, imageless, away):
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


def read_by_the_file_system(repo_id: str) -> tuple[list[str], bytes, list[str]]:
    from huggingface_hub import HfApi, HfFileSystem

    files = HfFileSystem()
    names = files.glob(f"datasets/{repo_id}/**/*.csv")
    with files.open(names[0], block_size=8) as stream:
        stream.seek(5)
        part = stream.read(9)
    found = HfApi().get_paths_info(repo_id, ["a", "a/b.csv", "c"], repo_type="dataset", expand=True)
    listed = files.ls(f"datasets/{repo_id}", detail=True, expand_info=True)
    return names, part, [*(one.path for one in found), *(one["name"] for one in listed)]


def test_the_loopback_hub_serves_the_file_system_of_the_hub(client, hub):
    hub.add("org/plain", {"main": {"a/b.csv": b"0123456789" * 5, "a/c.txt": b""}}, "datasets")
    names, part, found = client(read_by_the_file_system, "org/plain")
    assert names == ["datasets/org/plain/a/b.csv"]
    assert part == b"567890123"
    assert found == ["a", "a/b.csv", "datasets/org/plain/a"]
    assert any(request.endswith(" 206") for request in hub.requests)
