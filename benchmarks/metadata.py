"""Opening the metadata of Kaggle Herbarium 2022: seconds and peak memory, against plain pandas.

    python benchmarks/metadata.py

Writes a `train_metadata.json` of the size and form of the real one (839,772 images, 15,501
categories, 2,564 genera and the distances between all of them; about 640 MB) and an empty file for
every image into a temporary folder, then opens it in a process of its own for each way. All ways
end with the same columns in a pandas frame:

- herbzoo: `open_collection`, which also checks that every image is there
- pandas: `json.load`, a frame a list, merged
- pandas, files checked: the same, and `os.path.exists` for every image

Seconds include the start of Python and its imports for the CPU, and not for the clock.
`--images` makes everything smaller in proportion. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

IMAGES, CATEGORIES, GENERA = 839_772, 15_501, 2_564
GONE = (4_011, 7_777, 10_101, 15_003)
"""Category ids that are missing between 0 and 15,504."""
WAYS = ("herbzoo", "pandas", "pandas, files checked")


def name_of(category: int, number: int) -> str:
    """Returns the path of an image below `train_images`, as the real file has it."""
    return f"{category // 100:03d}/{category % 100:02d}/{category:05d}__{number:03d}"


def written(records: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Yields a list as `json.dump(indent=4)` writes it inside of an object."""
    for number, record in enumerate(records):
        fields = ",\n".join(f'            "{key}": {json.dumps(v)}' for key, v in record.items())
        yield (",\n" if number else "") + f"        {{\n{fields}\n        }}"


def sections(images: int) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """Yields the lists of the file."""
    rng = random.Random(0)
    share = images / IMAGES
    categories = [i for i in range(CATEGORIES + 4) if i not in GONE][: max(2, int(15_501 * share))]
    genera = max(2, int(GENERA * share))
    per = images // len(categories)
    rows = [
        (c, i)
        for n, c in enumerate(categories)
        for i in range(per + (n < images % len(categories)))
    ]
    yield (
        "annotations",
        (
            {
                "genus_id": c % genera + 1,
                "institution_id": rng.randint(1, 60),
                "category_id": c,
                "image_id": f"{c:05d}__{i:03d}",
            }
            for c, i in rows
        ),
    )
    yield (
        "images",
        (
            {
                "image_id": f"{c:05d}__{i:03d}",
                "file_name": f"{name_of(c, i)}.jpg",
                "license": 1 + i % 3,
            }
            for c, i in rows
        ),
    )
    yield (
        "categories",
        (
            {
                "category_id": c,
                "scientificName": f"Genus{c % genera} species{c}",
                "family": f"Family{c % 272}",
                "genus": f"Genus{c % genera}",
                "species": f"species{c}",
                "authors": "(L.) Mill.",
            }
            for c in categories
        ),
    )
    yield "genera", ({"genus_id": g + 1, "genus": f"Genus{g}"} for g in range(genera))
    yield "institutions", ({"institution_id": i, "collectionCode": f"H{i}"} for i in range(1, 61))
    yield (
        "distances",
        (
            {"genus_id_x": x, "genus_id_y": y, "distance": round(rng.uniform(1, 800), 4)}
            for x in range(1, genera + 1)
            for y in range(x + 1, genera + 1)
        ),
    )
    yield (
        "license",
        ({"id": i, "name": f"CC {i}", "url": f"https://x.org/{i}"} for i in range(1, 4)),
    )


def write(folder: Path, images: int) -> Path:
    """Writes the metadata and the files."""
    path = folder / "train_metadata.json"
    with path.open("w", encoding="utf-8") as stream:
        stream.write("{\n")
        for number, (name, records) in enumerate(sections(images)):
            stream.write(f'{"," if number else ""}\n    "{name}": [\n')
            stream.writelines(written(records))
            stream.write("\n    ]")
        stream.write("\n}\n")
    made: set[str] = set()
    for name, records in sections(images):
        if name != "images":
            continue
        for record in records:
            file = f"{folder}/train_images/{record['file_name']}"
            parent = file.rpartition("/")[0]
            if parent not in made:
                Path(parent).mkdir(parents=True)
                made.add(parent)
            open(file, "wb").close()
    return path


def by_pandas(folder: Path, check: bool) -> int:
    """Opens the metadata the obvious way; returns the number of rows."""
    import os

    import pandas as pd

    with (folder / "train_metadata.json").open(encoding="utf-8") as stream:
        data = json.load(stream)
    frame = pd.DataFrame(data["annotations"]).merge(pd.DataFrame(data["images"]), on="image_id")
    frame = frame.merge(pd.DataFrame(data["categories"]), on="category_id")
    frame = frame.merge(pd.DataFrame(data["institutions"]), on="institution_id")
    licences = pd.DataFrame(data["license"]).rename(columns={"id": "license"})
    frame = frame.merge(licences, on="license")
    distances = pd.DataFrame(data["distances"])
    frame["file_name"] = f"{folder}/train_images/" + frame["file_name"]
    if check:
        frame = frame[frame["file_name"].map(os.path.exists)]
    return len(frame) if len(distances) else 0


def by_herbzoo(folder: Path) -> int:
    """Opens the metadata with herbzoo; returns the number of rows."""
    from herbzoo.data.readers import open_collection

    return len(open_collection(folder))


def measured(way: str, folder: Path) -> dict[str, float]:
    """Opens the folder in a process of its own, once what it reads is in the disk cache."""
    with (folder / "train_metadata.json").open("rb") as stream:
        while stream.read(2**24):
            pass
    for _ in folder.rglob("*"):
        pass
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def run(way: str, folder: Path) -> None:
    """Opens the folder in this process, and prints what it cost."""
    start = time.perf_counter()
    rows = by_herbzoo(folder) if way == "herbzoo" else by_pandas(folder, "checked" in way)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cost = {
        "rows": rows,
        "seconds": time.perf_counter() - start,
        "cpu": used.ru_utime + used.ru_stime,
        "mib": used.ru_maxrss / 1024,  # KiB on Linux
    }
    print(json.dumps(cost))


def main() -> None:
    """Writes the folder, measures every way and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        run(options.way, options.folder)
        return
    with tempfile.TemporaryDirectory(prefix="herbzoo-metadata-") as folder:
        path = write(Path(folder), options.images)
        print(f"{options.images:,} images, {path.stat().st_size / 1e6:,.0f} MB\n", flush=True)
        found = {way: measured(way, Path(folder)) for way in WAYS}
    print("| way | rows | seconds | times | CPU seconds | times | peak MiB | times |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    ours = found[WAYS[0]]
    for way, cost in found.items():
        cells = [
            f"{cost[key]:,.{digits}f} | {cost[key] / ours[key]:.1f}"
            for key, digits in (("seconds", 1), ("cpu", 1), ("mib", 0))
        ]
        print(f"| {way} | {cost['rows']:,.0f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
