"""Ways to measure a model, by name: which rows, in which groups, and what else of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from herbzoo.data.records import FIELD, HERBARIUM, Collection
from herbzoo.errors import DataError, HerbzooError
from herbzoo.evaluation.evaluate import described
from herbzoo.evaluation.evaluated import Evaluated, coded_truth, named_rows, run_over
from herbzoo.evaluation.new_names import add_names_of, reads_names
from herbzoo.evaluation.open_set import OpenSetScores
from herbzoo.evaluation.zero_shot import SEEN, UNSEEN, AmongUnseen, genus_of_unseen

if TYPE_CHECKING:
    from herbzoo.inference import Identifier, ScoredBatch

WITH, WITHOUT = "with", "without"
"""Species that have field photos in training, and those that have none."""


Progress = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
"""Given what is being done and to how many images, yields what is told how many more are done."""


@contextmanager
def _silent(doing: str, images: int) -> Iterator[Callable[[int], object]]:
    yield lambda done: None


@dataclass(frozen=True)
class Trial:
    """A model and the rows it is measured on.

    Rows without a name are left out. Images that cannot be read are left out too, and counted; the
    first of them are logged. Species the model does not know count as wrong, and are counted.
    """

    identifier: Identifier
    rows: Collection
    train: Collection | None = None
    """What the model was trained on; none, or empty, if that is not known. For a synthetic
    collection, what shortcuts could score (`herbzoo.evaluation.baselines`) is then reported."""
    split: str = "test"
    """What the rows are called in the result."""
    group_by: Sequence[str] = ()
    """Columns to report by as well."""
    batch_size: int = 32
    workers: int = -1
    """Processes that decode images; 0 is none, -1 chooses."""
    embeddings: bool = False
    """Keep the embeddings of the rows, four bytes a row and dimension."""
    progress: Progress = _silent

    def run(
        self,
        rows: Collection,
        each: Callable[[ScoredBatch], object] = lambda batch: None,
        *,
        embeddings: bool = False,
        doing: str = "evaluating",
    ) -> Evaluated:
        """Runs the model over some rows.

        Raises:
            DataError: if none has a name, or can be read, or is of a species the model knows.
        """
        with self.progress(doing, len(rows)) as advance:
            return run_over(
                self.identifier,
                rows,
                split=self.split,
                embeddings=embeddings or self.embeddings,
                each=each,
                batch_size=self.batch_size,
                workers=self.workers,
                progress=advance,
            )


@dataclass(frozen=True)
class Verdict:
    """What a protocol found."""

    evaluated: Evaluated
    metrics: dict[str, Any]
    """What `metrics.json` holds: `protocol`, `split`, `n`, `overall`, `groups`, `harmonic_mean`,
    `intervals`, `data`, `unreadable`, `strata`, `mistakes`, of a calibrated model `calibration` and
    `selective`, of a synthetic collection `baselines`, and what the protocol adds."""
    gallery: Evaluated | None = None
    """Training sheets with their embeddings, where the protocol looked at them."""


@dataclass(frozen=True)
class Protocol:
    """A way to measure a model."""

    name: str
    summary: str
    measure: Callable[[Trial], Verdict]

    def __call__(self, trial: Trial) -> Verdict:
        """Measures.

        Raises:
            DataError: if the rows do not have what the protocol is about, a column to group by does
                not exist, or nothing can be measured.
        """
        for column in trial.group_by:
            trial.rows.column(column)
        found = self.measure(trial)
        return Verdict(found.evaluated, found.metrics | {"protocol": self.name}, found.gallery)


def protocol(name: str) -> Protocol:
    """Returns a protocol by its name.

    Raises:
        HerbzooError: if there is none of that name.
    """
    if name not in PROTOCOLS:
        raise HerbzooError(f"there is no protocol {name!r}; there are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def _verdict(
    trial: Trial, evaluated: Evaluated, groups: dict[str, np.ndarray] | None = None
) -> Verdict:
    """Measures rows overall, by the columns asked for, and by groups of the protocol."""
    collection = evaluated.collection
    grouped = {column: collection.column(column).to_numpy(str) for column in trial.group_by}
    grouped |= groups or {}
    metrics = described(
        evaluated,
        trial.identifier.calibration,
        split=trial.split,
        groups=grouped,
        train=trial.train,
    )
    return Verdict(evaluated, metrics)


def _standard(trial: Trial) -> Verdict:
    return _verdict(trial, trial.run(trial.rows))


def _cross_domain(trial: Trial) -> Verdict:
    photos = trial.rows.select((trial.rows.column("basisOfRecord") == FIELD).to_numpy(bool))
    if not len(photos):
        raise DataError(
            f"none of the {len(trial.rows):,} rows is a field photo (basisOfRecord {FIELD}), which "
            "the cross_domain protocol is about"
        )
    train = _needed_train(trial, "cross_domain")
    field = train.frame.loc[train.column("basisOfRecord") == FIELD, "scientificName"]
    sheets = train.frame.loc[train.column("basisOfRecord") == HERBARIUM, "scientificName"]
    if sheets.empty:
        raise DataError(f"the training rows of {train.name} have no herbarium sheets to learn from")
    evaluated = trial.run(photos)
    paired = evaluated.collection.column("scientificName").isin(set(field)).to_numpy(bool)
    return _verdict(trial, evaluated, {"pairs": np.where(paired, WITH, WITHOUT)})


def _leave_one_institution_out(trial: Trial) -> Verdict:
    train = _needed_train(trial, "leave_one_institution_out")
    known = set(train.column("institutionCode")) | {""}
    strange = ~trial.rows.column("institutionCode").isin(known).to_numpy(bool)
    if not strange.any():
        raise DataError(
            f"every institution of the {len(trial.rows):,} rows is among the training rows too: "
            "make a split with `herbzoo data split --by institution`"
        )
    evaluated = trial.run(trial.rows.select(strange))
    found = evaluated.collection.column("institutionCode").to_numpy(str)
    verdict = _verdict(trial, evaluated, {"institutionCode": found})
    left_out = {"rows_of_training_institutions": int((~strange).sum())}
    return Verdict(evaluated, verdict.metrics | left_out)


def _zero_shot(trial: Trial) -> Verdict:
    train = _needed_train(trial, "zero_shot")
    rows = named_rows(trial.rows, trial.split)
    added = add_names_of(trial.identifier, rows) if reads_names(trial.identifier) else 0
    taxonomy = trial.identifier.taxonomy
    truth = coded_truth(rows, taxonomy)
    learned = set(train.column("scientificName"))
    unseen = np.array([taxon.scientificName not in learned for taxon in taxonomy.taxa])
    if not unseen.any() or not unseen[truth[truth >= 0]].any():
        raise DataError(
            f"{trial.identifier.source} scores no species of these rows that it was not trained "
            "on: the zero_shot protocol needs a head that reads names, and rows of such species"
        )
    among = AmongUnseen(truth, unseen)
    evaluated = trial.run(rows, among)
    own = evaluated.outcomes.truth
    kind = np.where(own < 0, "", np.where(unseen[own], UNSEEN, SEEN))
    verdict = _verdict(trial, evaluated, {"zero_shot": kind})
    more = {
        "names_added": added,
        "unseen_among_unseen": among.figures(rows),
        "unseen_of_known_genera": genus_of_unseen(evaluated, unseen),
    }
    return Verdict(evaluated, verdict.metrics | more)


def _open_set(trial: Trial) -> Verdict:
    scores = OpenSetScores()
    evaluated = trial.run(trial.rows, scores)
    figures = scores.figures(evaluated.outcomes.truth >= 0)
    verdict = _verdict(trial, evaluated)
    return Verdict(evaluated, verdict.metrics | {"open_set": figures})


def _retrieval(trial: Trial) -> Verdict:
    from herbzoo.evaluation.retrieval import retrieve

    train = _needed_train(trial, "retrieval")
    photos = trial.rows.select((trial.rows.column("basisOfRecord") == FIELD).to_numpy(bool))
    sheets = train.select((train.column("basisOfRecord") == HERBARIUM).to_numpy(bool))
    if not len(photos) or not len(sheets):
        raise DataError(
            f"{len(photos):,} field photos to ask with and {len(sheets):,} herbarium sheets of the "
            "training rows to find: the retrieval protocol needs both (basisOfRecord)"
        )
    queries = trial.run(photos, embeddings=True)
    gallery = trial.run(sheets, embeddings=True, doing="looking up sheets")
    assert queries.embeddings is not None and gallery.embeddings is not None
    found = retrieve(
        queries.embeddings,
        gallery.embeddings,
        queries.collection.column("scientificName").to_numpy(str),
        gallery.collection.column("scientificName").to_numpy(str),
    )
    verdict = _verdict(trial, queries)
    return Verdict(queries, verdict.metrics | {"retrieval": found.as_dict()}, gallery)


def _needed_train(trial: Trial, name: str) -> Collection:
    if trial.train is None or not len(trial.train):
        raise DataError(
            f"the {name} protocol needs to know the training rows: give the --data that the run "
            "was trained on, or data with a --split-column that marks them"
        )
    return trial.train


PROTOCOLS = {
    each.name: each
    for each in (
        Protocol("standard", "all test rows", _standard),
        Protocol(
            "cross_domain",
            "field photos of species with and without field photos in training",
            _cross_domain,
        ),
        Protocol(
            "leave_one_institution_out",
            "rows of institutions that training had none of",
            _leave_one_institution_out,
        ),
        Protocol("zero_shot", "species without training images", _zero_shot),
        Protocol("open_set", "telling known from unknown species", _open_set),
        Protocol("retrieval", "finding herbarium sheets by field photos", _retrieval),
    )
}
