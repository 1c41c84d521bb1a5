"""The records of a synthetic flora: gatherings, duplicates, splits and wrong determinations.

Three columns split the same rows, and a row that is test in one is never train in another:

- `split`: train on sheets and some field photos, test on sheets of other gatherings.
- `cross_domain`: the same training rows, test on field photos of all species; `pairs` says which
  species have field photos in training (`with`) and which have sheets only (`without`).
- `zero_shot_split`: as `cross_domain`, without any training row of the species that `zero_shot`
  calls `unseen`.

Only sheets in training may carry a wrong name, so that accuracy on test rows means what it says;
`trueScientificName` and `traits` keep the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from herbzoo.data.records import COLUMNS, FIELD, HERBARIUM, Collection
from herbzoo.data.synthetic import names
from herbzoo.data.synthetic.flora import Flora, make_flora
from herbzoo.data.synthetic.herbaria import herbaria
from herbzoo.data.synthetic.images import SyntheticImages, photo_key, sheet_key
from herbzoo.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

WRONG_SHARE = 0.04
"""Share of the training sheets whose name is wrong."""
FEWEST_IMAGES = 4
"""Images of the rarest species, whatever the mean."""

_PHOTO_SHARE = 0.2
_WITH_PAIRS_SHARE = 0.6
_UNSEEN_SHARE = 1 / 6
_CONGENER_SHARE = 0.8
# Which gatherings of a species are held out, in turn; the first two are always for training.
_TURN = np.array(["train"] * 11, dtype="<U10")
_TURN[[2, 8]] = "test"
_TURN[6] = "validation"

_COUNTS_STREAM, _ROWS_STREAM = 101, 102


def synthetic_collection(
    species: int = 12, seed: int = 0, images_per_species: int = 40
) -> Collection:
    """Returns records of a made-up flora, whose images are drawn when they are opened.

    Args:
        species: how many species.
        seed: two collections of equal arguments are equal, images included.
        images_per_species: the mean; species follow a long tail from about three times to half of
            it, but never below `FEWEST_IMAGES`.

    Raises:
        DataError: if a number is too small to make a collection of.
    """
    import pandas as pd

    if images_per_species < FEWEST_IMAGES:
        raise DataError(
            f"{images_per_species} images a species cannot be split; "
            f"ask for {FEWEST_IMAGES} or more"
        )
    flora = make_flora(species, seed)
    rows = _Rows(flora, images_per_species)
    frame = pd.DataFrame({"image": rows.image_keys(), **rows.identity(), **rows.events()})
    for column, values in rows.splits().items():
        frame[column] = values
    wrong = rows.wrong_names(frame["split"].to_numpy() == "train")
    _name_rows(frame, flora, rows.species, np.where(wrong < 0, rows.species, wrong))
    misled = frame["zero_shot_split"].eq("train") & frame["zero_shot"].eq("unseen")
    frame.loc[misled, "zero_shot_split"] = "unused"
    extra = [column for column in frame.columns if column not in COLUMNS]
    facts = {
        "reader": "synthetic",
        "synthetic": True,
        "species": species,
        "seed": seed,
        "images_per_species": images_per_species,
        "wrong_determinations": int((wrong >= 0).sum()),
    }
    return Collection(
        frame[[*COLUMNS, *extra]], SyntheticImages(species, seed), name="synthetic", facts=facts
    )


class _Rows:
    """One entry an image, sheets before photos within each species, as parallel arrays."""

    def __init__(self, flora: Flora, images_per_species: int) -> None:
        self.flora = flora
        count = len(flora.species)
        rng = np.random.default_rng([flora.seed, count, _COUNTS_STREAM])
        # Long tail: rank u in [0, 1) has images in proportion to 1 / (u + 0.2), with mean one.
        u = (rng.permutation(count) + 0.5) / count
        weight = 1 / (u + 0.2)
        images = np.maximum(FEWEST_IMAGES, np.round(images_per_species * weight / weight.mean()))
        photos = np.maximum(2, np.round(_PHOTO_SHARE * images)).astype(int)
        sheets = images.astype(int) - photos
        self.pairs, self.unseen = self._choose_species(rng)

        self.species = np.repeat(np.arange(count), sheets + photos)
        within = _positions(self.species)
        self.is_photo = within >= sheets[self.species]
        self.rng = np.random.default_rng([flora.seed, count, _ROWS_STREAM])
        # A gathering (of sheets) or an observation (of photos) is one individual plant.
        chance = self.rng.random(len(self.species))
        starts = np.where(self.is_photo, chance < 0.6, chance < 0.62)
        starts |= (within == 0) | (within - sheets[self.species] == 0)
        starts |= within - sheets[self.species] == 1  # two observations at least
        starts |= _run_positions(starts) % 4 == 0
        self.part = _run_positions(starts)
        self.gathering = np.cumsum(starts) - 1
        first_of = self.gathering[np.searchsorted(self.species, np.arange(count))]
        self.plant = self.gathering - first_of[self.species]
        first_photo = np.searchsorted(
            2 * self.species + self.is_photo, 2 * np.arange(count) + 1, side="left"
        )
        self.observation = self.plant - self.plant[first_photo][self.species]
        self.gatherings = int(self.gathering[-1]) + 1

    def _choose_species(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Chooses the species with field photos in training, and those never seen in it."""
        count = len(self.flora.species)
        pairs = np.zeros(count, dtype=bool)
        pairs[rng.permutation(count)[: max(1, round(_WITH_PAIRS_SHARE * count))]] = True
        # One species of every genus stays seen, so that an unseen name shares a genus with it.
        order = rng.permutation(count)
        genus = np.array([kind.genus for kind in self.flora.species])
        _, anchors = np.unique(genus[order], return_index=True)
        free = np.delete(order, anchors)
        unseen = np.zeros(count, dtype=bool)
        unseen[free[: round(_UNSEEN_SHARE * count)]] = True
        return pairs, unseen

    def institutions(self) -> np.ndarray:
        """Returns the index of the herbarium of each row: duplicates go to different ones."""
        many = len(herbaria(self.flora.seed))
        first = np.random.default_rng([self.flora.seed, 5]).integers(many, size=self.gatherings)
        return (first[self.gathering] + 3 * self.part) % many

    def image_keys(self) -> list[str]:
        """Returns what `SyntheticImages.open` draws from."""
        columns = (self.species, self.plant, self.part, self.institutions(), self.is_photo)
        return [
            photo_key(s, p, v) if photo else sheet_key(s, p, v, h)
            for s, p, v, h, photo in zip(*(c.tolist() for c in columns), strict=True)
        ]

    def identity(self) -> dict[str, list[str]]:
        """Returns the columns that tell records apart; none depends on the species."""
        codes = [h.code for h in herbaria(self.flora.seed)]
        serial = self.rng.permutation(len(self.species)) + 1
        observation = self.rng.permutation(self.gatherings) + 1
        basis, codes_column, catalogue, occurrence = [], [], [], []
        for photo, herbarium, number, gathering in zip(
            self.is_photo.tolist(),
            self.institutions().tolist(),
            serial.tolist(),
            observation[self.gathering].tolist(),
            strict=True,
        ):
            code = "" if photo else codes[herbarium]
            basis.append(FIELD if photo else HERBARIUM)
            codes_column.append(code)
            catalogue.append("" if photo else f"{code}{number:07d}")
            occurrence.append(
                f"urn:synthetic:observation:{gathering:07d}"
                if photo
                else f"urn:catalog:{code}:{number:07d}"
            )
        return {
            "basisOfRecord": basis,
            "occurrenceID": occurrence,
            "catalogNumber": catalogue,
            "institutionCode": codes_column,
            "license": ["https://creativecommons.org/publicdomain/zero/1.0/"] * len(basis),
        }

    def events(self) -> dict[str, list[str]]:
        """Returns who gathered when, one event for all images of an individual."""
        people = names.collectors()
        order = self.rng.permutation(self.gatherings)
        photo = np.zeros(self.gatherings, dtype=bool)
        photo[self.gathering] = self.is_photo
        year = np.where(
            photo,
            self.rng.integers(2008, 2025, self.gatherings),
            1870 + (150 * self.rng.random(self.gatherings) ** 0.7).astype(int),
        )
        month = self.rng.integers(3, 11, self.gatherings)
        day = self.rng.integers(1, 29, self.gatherings)
        dates = [
            f"{y}-{m:02d}-{d:02d}"
            for y, m, d in zip(year.tolist(), month.tolist(), day.tolist(), strict=True)
        ]
        who = [people[i] for i in (order % len(people)).tolist()]
        # A collector never uses a number twice, so collector and number name the gathering.
        number = [
            "" if is_photo else str(100 + i)
            for i, is_photo in zip((order // len(people)).tolist(), photo.tolist(), strict=True)
        ]
        determiner = self.rng.integers(len(people), size=len(self.species)).tolist()
        rows = self.gathering.tolist()
        return {
            "recordedBy": [who[g] for g in rows],
            "recordNumber": [number[g] for g in rows],
            "eventDate": [dates[g] for g in rows],
            "identifiedBy": [people[i] for i in determiner],
        }

    def splits(self) -> dict[str, np.ndarray]:
        """Returns the three split columns as the true species has them."""
        by_gathering = _TURN[self.plant % len(_TURN)]
        may_train = self.pairs[self.species] & (self.observation % 2 == 1)
        photo_part = np.where(may_train, "train", "test")
        photo_part = np.where(may_train & (self.observation % 8 == 5), "validation", photo_part)
        cross = np.where(self.is_photo, photo_part, by_gathering)
        cross = np.where(~self.is_photo & (cross == "test"), "unused", cross)
        plain = np.where(self.is_photo & (photo_part == "test"), "unused", photo_part)
        plain = np.where(self.is_photo, plain, by_gathering)
        hidden = self.unseen[self.species] & (cross != "test")
        return {
            "split": plain,
            "cross_domain": cross,
            "zero_shot_split": np.where(hidden, "unused", cross),
            "pairs": np.where(self.pairs[self.species], "with", "without"),
            "zero_shot": np.where(self.unseen[self.species], "unseen", "seen"),
        }

    def wrong_names(self, train: np.ndarray) -> np.ndarray:
        """Returns the species each row is wrongly named as, or -1."""
        wrong = np.full(len(self.species), -1)
        free = np.flatnonzero(train & ~self.is_photo)
        rows = self.rng.choice(free, round(WRONG_SHARE * len(free)), replace=False)
        genus = np.array([kind.genus for kind in self.flora.species])
        first = np.searchsorted(genus, genus)
        size = np.bincount(genus)[genus]
        kind = self.species[rows]
        shift = 1 + (self.rng.random(len(rows)) * (size[kind] - 1)).astype(int)
        congener = first[kind] + (kind - first[kind] + shift) % size[kind]
        other = (kind + self.rng.integers(1, len(genus), len(rows))) % len(genus)
        near = (self.rng.random(len(rows)) < _CONGENER_SHARE) & (size[kind] > 1)
        wrong[rows] = np.where(near, congener, other)
        return wrong


def _name_rows(frame: pd.DataFrame, flora: Flora, true: np.ndarray, named: np.ndarray) -> None:
    """Fills in the name columns; those of the training protocols follow the name on the row."""
    kinds = flora.species
    genera = [flora.genera[kind.genus] for kind in kinds]
    text = {
        "scientificName": [kind.name for kind in kinds],
        "scientificNameAuthorship": [kind.authorship for kind in kinds],
        "genus": [genus.name for genus in genera],
        "family": [flora.families[genus.family].name for genus in genera],
        "taxonID": [f"synthetic:{flora.seed}:{index:05d}" for index in range(len(kinds))],
    }
    for column, values in text.items():
        frame[column] = np.array(values, dtype=object)[named]
    frame["trueScientificName"] = np.array(text["scientificName"], dtype=object)[true]
    frame["traits"] = np.array([kind.traits.describe() for kind in kinds], dtype=object)[true]
    by_species = frame[["pairs", "zero_shot"]].groupby(true).first().to_numpy()
    frame[["pairs", "zero_shot"]] = by_species[named]


def _positions(groups: np.ndarray) -> np.ndarray:
    """Returns the position of each row within its group; equal groups are adjacent."""
    return _run_positions(np.r_[True, groups[1:] != groups[:-1]])


def _run_positions(starts: np.ndarray) -> np.ndarray:
    """Returns the distance of each row from the last start."""
    index = np.arange(len(starts))
    return index - np.maximum.accumulate(np.where(starts, index, 0))
