"""What can be had without looking at the plant: baselines to print beside a synthetic result.

A collection whose margins tell its species apart measures label reading, and one whose colours do
measures the weather in the press. Both figures should stay near chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from herbzoo.data.records import Collection
from herbzoo.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

MOST_ROWS = 2000
"""Images used of each collection; more are sampled."""
BORDER = 0.06
"""Width of the border that counts as margin, as a share of the image."""
CORNER = (0.16, 0.4)
"""Height and width of the two lower corners, where labels lie, as shares of the image."""

_GRID = (72, 48)
_BINS = (16, 4, 4)
_COMPONENTS = 64


def shortcut_baselines(train: Collection, test: Collection, seed: int = 0) -> dict[str, float]:
    """Scores two classifiers that see no plant, fitted on train rows.

    Args:
        train: rows to fit on.
        test: rows to score; a name that `train` lacks counts as missed.
        seed: of the sample, where there are more than `MOST_ROWS` rows.

    Returns:
        Top-1 of `margins_only` (logistic regression on the pixels of border and label corners; on
        field photos these may hold the plant) and of `colour_histogram` (the same on the square
        root of an HSV histogram of the whole image), and `chance`, one over the names in `train`.

    Raises:
        DataError: if there is no test row, or fewer than two names to fit on.
    """
    if not len(test):
        raise DataError(f"{test.name} has no test rows to score baselines on")
    names = train.column("scientificName")
    if names.nunique() < 2:
        raise DataError(
            f"baselines need two or more names to tell apart; {train.name} has {names.nunique()}"
        )
    chance = 1 / names.nunique()
    train, test = _sample(train, seed), _sample(test, seed + 1)
    train_margins, train_colours = _features(train)
    test_margins, test_colours = _features(test)
    known, truth = _names(train), _names(test)
    return {
        "margins_only": _top1(train_margins, known, test_margins, truth),
        "colour_histogram": _top1(train_colours, known, test_colours, truth),
        "chance": chance,
    }


def margin_mask(height: int, width: int) -> np.ndarray:
    """Returns `[height, width]`, true where an image holds labels and cards rather than a plant."""
    import numpy as np

    mask = np.zeros((height, width), dtype=bool)
    down, across = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    mask[:down] = mask[-down:] = True
    mask[:, :across] = mask[:, -across:] = True
    down, across = round(CORNER[0] * height), round(CORNER[1] * width)
    mask[height - down :, :across] = mask[height - down :, width - across :] = True
    return mask


def _sample(collection: Collection, seed: int) -> Collection:
    import numpy as np

    if len(collection) <= MOST_ROWS:
        return collection
    rows = np.random.default_rng(seed).choice(len(collection), MOST_ROWS, replace=False)
    return collection.select(np.sort(rows))


def _names(collection: Collection) -> np.ndarray:
    return collection.column("scientificName").to_numpy(dtype=object)


def _features(collection: Collection) -> tuple[np.ndarray, np.ndarray]:
    """Returns margin pixels `[N, M]` and colour histograms `[N, B]`."""
    import numpy as np

    mask = margin_mask(*_GRID)
    margins, colours = [], []
    for key in collection.frame["image"]:
        image = collection.images.open(key, _GRID).convert("RGB")
        small = np.asarray(image.resize(_GRID[::-1]), dtype=np.float32) / 255
        margins.append(small[mask].ravel())
        colours.append(_histogram(image))
    return np.stack(margins), np.stack(colours)


def _histogram(image: Image) -> np.ndarray:
    """Returns the square root of the share of pixels in each bin of hue, saturation and value."""
    import numpy as np

    image.thumbnail((128, 128))
    pixels = np.asarray(image.convert("HSV")).reshape(-1, 3)
    hue, saturation, value = (
        channel.astype(int) * bins // 256 for channel, bins in zip(pixels.T, _BINS, strict=True)
    )
    index = (hue * _BINS[1] + saturation) * _BINS[2] + value
    counts = np.bincount(index, minlength=int(np.prod(_BINS)))
    return np.sqrt(counts / len(pixels))


def _top1(train: np.ndarray, known: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(
        # Components beyond half the rows are noise, which scaling would blow up.
        PCA(max(1, min(_COMPONENTS, len(train) // 2)), random_state=0),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=300),
    )
    classifier.fit(train, known.astype(str))
    return float((classifier.predict(test) == truth.astype(str)).mean())
