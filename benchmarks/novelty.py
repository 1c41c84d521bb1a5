"""Species never seen (LeafSnap): told from the known ones, at a promised rate, and grouped.

    python benchmarks/novelty.py --data ../shared/data --seeds 0 1 2

Known are 48 species, unknown 12 (`zero_shot` of LeafSnap). All is measured on the features of a
frozen backbone that no LeafSnap image has shaped. Which score is taken, the distance of groups and
all else is chosen on known species that are left out, never on the rows that are measured:

- field, protocol: known are the training rows of `zero_shot_split`; asked about are its 553 test
  photos, 445 of known species and 108 of unknown. Seeds decide which species play the unknown.
- field, drawn and pressed, drawn: a fifth of the gatherings of the known species is held out, at
  random, and asked about beside all images of the domain of the unknown species. Images of a
  species whose features have a cosine of 0.90 or more, all of a group with one another, are one
  gathering: several exposures of one leaf are never on both sides.
- unrelated: other plants and no plants against the known test photos or the held-out leaves.
- flora: sheets of the made-up flora, a sixth of whose species is unknown; a fifth of the gatherings
  of the others is held out.
- misnamed: 3% of the known photos of the protocol under the name of another known species.

AUROC is the chance that an image of an unknown species is stranger than one of a known; FPR95 is
the share of the unknown that pass when 95% of the known do. Prints Markdown: means over the seeds,
with the lowest and highest.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from herbzoo.curation.case import MISNAMED, UNKNOWN
from herbzoo.curation.features import Features, collection_features
from herbzoo.curation.folds import gathering_folds
from herbzoo.curation.known_specimens import Known, known_specimens
from herbzoo.curation.linkage import grouped, place
from herbzoo.curation.novelty import Novelty, find_novel
from herbzoo.curation.novelty_choice import mean_aurocs
from herbzoo.curation.novelty_scores import SCORES, fit_scores, score_rows
from herbzoo.curation.rehearsal import separation
from herbzoo.data.gatherings import gatherings
from herbzoo.data.readers import open_collection, open_images
from herbzoo.data.records import FIELD, HERBARIUM, Collection
from herbzoo.evaluation.retrieval import unit_vectors
from herbzoo.inference import Identifier
from herbzoo.taxonomy import Taxonomy

SAME_LEAF = 0.90
HELD = 5
"""One gathering in so many is held out."""
MADE = 60
FLORA = "synthetic:species=24,images_per_species=30"
RATES = (0.05, 0.1)


@dataclass(frozen=True)
class Setting:
    """One question: what is known, and what is asked about."""

    known: Known
    taxonomy: Taxonomy
    asked: Features
    new: np.ndarray
    """Whether each image asked about is of an unknown species."""


@dataclass(frozen=True)
class Answer:
    """What came of a setting."""

    separations: dict[str, tuple[float, float]]
    """AUROC and FPR95 of each score."""
    trial: dict[str, float]
    """AUROC of each score on species left out."""
    chosen: str
    alarms: dict[float, tuple[float, float]]
    """By promised rate: false alarms among the known, and share of the unknown that are found."""
    found: Novelty


def leaf_groups(features: Features) -> np.ndarray:
    """Returns a number for each image, the same for exposures of one leaf of a species."""
    names = features.collection.frame["scientificName"].to_numpy()
    groups = np.zeros(len(names), dtype=np.int64)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        groups[rows] = groups.max() + 1
        if len(rows) > 1:
            tree = linkage(unit_vectors(features.values[rows]), "complete")
            groups[rows] += fcluster(tree, (2 * (1 - SAME_LEAF)) ** 0.5, "distance")
    return groups


def some(features: Features, rows: np.ndarray) -> Features:
    """Returns some rows of features."""
    return replace(
        features, collection=features.collection.select(rows), values=features.values[rows]
    )


def protocol(features: Features) -> Setting:
    """The photos of the protocol."""
    frame = features.collection.frame
    train = some(features, (frame["zero_shot_split"] == "train").to_numpy())
    asked = some(features, (frame["zero_shot_split"] == "test").to_numpy())
    new = (asked.collection.frame["zero_shot"] == "unseen").to_numpy()
    taxonomy = Taxonomy.from_collection(train.collection)
    return Setting(known_specimens(train, taxonomy), taxonomy, asked, new)


def drawn(features: Features, domain: str, seed: int, groups: np.ndarray) -> Setting:
    """Holds gatherings of the known species out, and asks about these and the unknown species."""
    frame = features.collection.frame
    seen = (frame["zero_shot"] == "seen").to_numpy()
    inside = (frame["basisOfRecord"] == domain).to_numpy()
    rows = np.flatnonzero(seen & inside)
    species = np.unique(frame["scientificName"].to_numpy()[rows], return_inverse=True)[1]
    held = rows[gathering_folds(groups[rows], species, HELD, seed) == 0]
    tied = np.isin(groups, groups[held])
    train = some(features, np.flatnonzero(seen & ~tied))
    asked = some(features, np.concatenate([held, np.flatnonzero(~seen & inside)]))
    taxonomy = Taxonomy.from_collection(train.collection)
    known = known_specimens(train, taxonomy)
    learned = np.isin(
        asked.collection.frame["scientificName"], [taxon.scientificName for taxon in known.taxa]
    )
    new = (asked.collection.frame["zero_shot"] == "unseen").to_numpy()
    keep = learned | new
    return Setting(known, taxonomy, some(asked, np.flatnonzero(keep)), new[keep])


def answer(setting: Setting, seed: int) -> Answer:
    """Answers a setting: every score, and what the command would do."""
    known, asked, new = setting.known, setting.asked, setting.new
    found = find_novel(asked, known, taxonomy=setting.taxonomy, rate=min(RATES), seed=seed)
    assert found.promised.all()
    listed = {rate: found.p <= rate for rate in RATES}
    alarms = {
        rate: (float(some[~new].mean()), float(some[new].mean())) for rate, some in listed.items()
    }
    scores = all_scores(found, asked)
    separations = {name: separation(v[~new], v[new]) for name, v in scores.items()}
    return Answer(separations, mean_aurocs(found.rehearsal.trials), found.score, alarms, found)


def all_scores(found: Novelty, asked: Features) -> dict[str, np.ndarray]:
    """Returns every score of images, fitted on all known specimens."""
    fitted, _ = fit_scores(found.space, SCORES, found.rehearsal.scales)
    return score_rows(found.space, fitted, asked.values)


def grouping(found: Novelty, features: Features) -> tuple[float, float, int]:
    """Returns ARI, share in the right group (Hungarian), and number of groups of unknown images."""
    group = grouped(place(found.space, features.values), found.limit)
    return agreement(features.collection.frame["scientificName"].to_numpy(), group)


def agreement(names: np.ndarray, group: np.ndarray) -> tuple[float, float, int]:
    """Compares groups with species; each species gets one group at most."""
    truth = np.unique(names, return_inverse=True)[1]
    table = np.zeros((truth.max() + 1, group.max() + 1))
    np.add.at(table, (truth, group), 1)
    right = table[linear_sum_assignment(-table)].sum() / len(names)
    return float(adjusted_rand_score(truth, group)), float(right), int(group.max() + 1)


class MadeUp:
    """Pictures of nothing: noise, and photos of labels."""

    def open(self, key: str, min_size: tuple[int, int] | None = None) -> Image.Image:
        """Draws one."""
        kind, _, number = key.partition("-")
        rng = np.random.default_rng(int(number))
        if kind == "noise":
            pixels = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
            return Image.fromarray(pixels)
        ground = tuple(int(level) for level in rng.integers(205, 250, 3))
        label = Image.new("RGB", (448, 300), ground)
        font = ImageFont.load_default(size=int(rng.integers(16, 28)))
        letters = list("abcdefghi jklmno pqrst")
        for line in range(8):
            ImageDraw.Draw(label).text(
                (15, 12 + 35 * line), "".join(rng.choice(letters, 30)), fill=(40, 40, 50), font=font
            )
        return label


def made_up(template: Collection, kind: str) -> Collection:
    """Returns a collection of made-up pictures."""
    frame = template.frame.iloc[[0] * MADE].reset_index(drop=True).copy()
    frame.loc[:, :] = ""
    frame["image"] = [f"{kind}-{number}" for number in range(MADE)]
    return Collection(frame, MadeUp(), kind)


def unrelated(data: Path, template: Collection) -> Iterator[tuple[str, str, Collection]]:
    """Yields images of other plants and of none: what they are, their domain, and them."""
    sheets = open_images(data / "dsah/sheets-512")
    yield "sheets (dsah)", HERBARIUM, sheets
    photos = open_images(data / "gbif-cc")
    field = photos.frame["image"].str.contains("field").to_numpy()
    yield "field photos (gbif-cc)", FIELD, photos.select(field)
    yield "noise", FIELD, made_up(template, "noise")
    yield "photos of labels", HERBARIUM, made_up(template, "label")


def row(name: str, *values: Sequence[float]) -> str:
    """Returns a line of a table: means with lowest and highest."""
    spans = [f" ({min(v):.3f}-{max(v):.3f})" if len(v) > 1 else "" for v in values]
    means = [f"{np.mean(v):.3f}" for v in values]
    return "| " + " | ".join([name, *map(str.__add__, means, spans)]) + " |"


def show(title: str, answers: Sequence[Answer]) -> None:
    """Prints the tables of a setting."""
    print(f"\n### {title}: {len(answers[0].found.p)} images, {len(answers)} seeds\n")
    print("| score | AUROC | FPR95 | AUROC in trials |\n|---|---|---|---|")
    first = answers[0].separations
    for name in sorted(first, key=lambda one: -np.mean([a.separations[one][0] for a in answers])):
        aurocs = [a.separations[name][0] for a in answers]
        passing = [a.separations[name][1] for a in answers]
        print(row(name, aurocs, passing, [a.trial.get(name, np.nan) for a in answers]))
    print("\nchosen:", ", ".join(a.chosen for a in answers))
    print("\n| promised false alarms | measured | unknown found |\n|---|---|---|")
    for rate in RATES:
        print(row(f"{rate:g}", *zip(*(a.alarms[rate] for a in answers), strict=True)))
    sure = [{rank: one.precision for rank, one in a.found.sure.items()} for a in answers]
    print("\nsure ranks (precision in trials):", sure)
    strange = [a.found.rehearsal.answers_on_strange(a.chosen, a.found.rate) for a in answers]
    right = [float(one["genus"].right.mean()) for one in strange]
    print("genus right in trials, of strange images:", [round(one, 3) for one in right], flush=True)


def show_groups(name: str, answers: Sequence[Answer], news: Sequence[np.ndarray]) -> None:
    """Prints how unknown images are grouped: all of them, and those that were found."""
    every, listed = [], []
    for one, new in zip(answers, news, strict=True):
        features = one.found.rows
        every.append(grouping(one.found, some(features, np.flatnonzero(new))))
        rows = one.found.in_order(UNKNOWN)
        names = features.collection.frame["scientificName"].to_numpy()[rows]
        listed.append(agreement(names, one.found.group[rows]))
    print(f"\n| groups, {name} | ARI | right (Hungarian) | groups |\n|---|---|---|---|")
    print(row("all unknown", *zip(*every, strict=True)))
    print(row("as listed, false alarms among them", *zip(*listed, strict=True)), flush=True)


def show_misnamed(setting: Setting, seed: int) -> None:
    """Prints how many of some known images under wrong names are listed as misnamed."""
    rng = np.random.default_rng(seed)
    frame = setting.asked.collection.frame.copy()
    rows = np.flatnonzero(~setting.new)
    wrong = rng.choice(rows, round(0.03 * len(rows)), replace=False)
    names = [taxon.scientificName for taxon in setting.known.taxa]
    truth = frame["scientificName"].to_numpy(copy=True)
    for row in wrong:
        frame.loc[row, "scientificName"] = rng.choice([n for n in names if n != truth[row]])
    asked = replace(setting.asked, collection=replace(setting.asked.collection, frame=frame))
    found = find_novel(asked, setting.known, taxonomy=setting.taxonomy, seed=seed)
    listed = np.array(found.lists) == MISNAMED
    proposed = np.array(names)[found.candidates[:, 0]] == truth
    right, others = (listed & proposed)[wrong].sum(), np.setdiff1d(rows, wrong)
    print(
        f"\nmisnamed, seed {seed}: {listed[wrong].sum()} of {len(wrong)} are listed, {right} with"
    )
    print(f"the right name proposed; {listed[others].sum()} of the other {len(others)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--run", default="runs/leafsnap/frozen-softmax-0")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("runs/novelty"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    identifier = Identifier.from_pretrained(options.run)

    def features(name: str, collection: Collection) -> Features:
        return collection_features(identifier, collection, options.output / f"{name}.parquet")

    leaves = features("leafsnap", open_collection(options.data / "leafsnap"))
    groups = leaf_groups(leaves)
    settings: dict[str, Callable[[int], Setting]] = {
        "field, protocol": lambda seed: protocol(leaves),
        "field, drawn": lambda seed: drawn(leaves, FIELD, seed, groups),
        "pressed, drawn": lambda seed: drawn(leaves, HERBARIUM, seed, groups),
    }
    kept: dict[str, tuple[list[Answer], list[np.ndarray]]] = {}
    for title, make in settings.items():
        made = [make(seed) for seed in options.seeds]
        answers = [answer(one, seed) for one, seed in zip(made, options.seeds, strict=True)]
        kept[title] = answers, [one.new for one in made]
        show(title, answers)
        show_groups(title, *kept[title])
    for seed in options.seeds:
        show_misnamed(protocol(leaves), seed)
    print("\n### unrelated images\n\n| images | against | score | AUROC | FPR95 | found at 0.05 |")
    print("|---|---|---|---|---|---|")
    for name, domain, collection in unrelated(options.data, leaves.collection):
        strange = features(name.split()[0], collection)
        title = "field, protocol" if domain == FIELD else "pressed, drawn"
        show_unrelated(name, domain, strange, title, *kept[title])
    flora = features("flora", open_collection(FLORA))
    flora_groups = gatherings(flora.collection.frame)
    made = [drawn(flora, HERBARIUM, seed, flora_groups) for seed in options.seeds]
    answers = [answer(one, seed) for one, seed in zip(made, options.seeds, strict=True)]
    show("flora, sheets, drawn", answers)
    show_groups("flora", answers, [one.new for one in made])


def show_unrelated(
    name: str,
    domain: str,
    strange: Features,
    against: str,
    answers: Sequence[Answer],
    news: Sequence[np.ndarray],
) -> None:
    """Prints how unrelated images are told from the known ones."""
    strange.collection.frame["basisOfRecord"] = domain
    figures: dict[str, list[tuple[float, float]]] = {}
    alarms = []
    for one, new in zip(answers, news, strict=True):
        ours = all_scores(one.found, some(one.found.rows, np.flatnonzero(~new)))
        theirs = all_scores(one.found, strange)
        for score in ours:
            figures.setdefault(score, []).append(separation(ours[score], theirs[score]))
        taxonomy = Taxonomy(one.found.known.taxa)
        found = find_novel(strange, one.found.known, taxonomy=taxonomy, score=one.chosen)
        alarms.append(float((found.p <= found.rate).mean()))
    chosen = answers[0].chosen
    best = max(figures, key=lambda score: np.mean([auroc for auroc, _ in figures[score]]))
    for score in dict.fromkeys((chosen, best, "max_softmax")):
        mark = {chosen: " (chosen)", best: " (best)"}.get(score, "")
        cells = [f"{np.mean([f[k] for f in figures[score]]):.3f}" for k in (0, 1)]
        share = f"{np.mean(alarms):.3f}" if score == chosen else ""
        print(f"| {name} | {against} | {score}{mark} | {' | '.join(cells)} | {share} |", flush=True)


if __name__ == "__main__":
    main()
