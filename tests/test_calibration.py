"""Temperature, thresholds that keep a promise, and answers that are given only where they do."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from identify_samples import CommandLine, rows_of, write_pictures, write_run
from scipy.optimize import minimize_scalar
from tiny import collection_of, coloured_leaves

from herbzoo import closed_form
from herbzoo.calibration import PRECISIONS, Calibration
from herbzoo.data.records import FIELD
from herbzoo.errors import HerbzooError, RunError
from herbzoo.evaluation.calibrate import calibrate
from herbzoo.evaluation.outcomes import NO_ANSWER, Levels, Outcomes, RankOutcomes
from herbzoo.evaluation.ranking import ScoreAccumulator
from herbzoo.evaluation.score_spool import ScoreSpool
from herbzoo.evaluation.selective import deepest, keep_promise, kept, lowest_threshold
from herbzoo.evaluation.temperature import TemperatureFit
from herbzoo.identification import UNKNOWN, PromisedRanking
from herbzoo.inference import Identifier
from herbzoo.modeling.stacking_herbzoo import CalibratedStacking
from herbzoo.taxonomy import Taxon, Taxonomy


def draws(rows: int, seed: int, classes: int = 5, sharpness: float = 1.0):
    """Logits whose softmax, at temperature `sharpness`, is the chance of each truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (rows, classes))
    powers = np.exp(logits)
    powers /= powers.sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(classes, p=each) for each in powers])
    return logits * sharpness, truth


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0, 30.0])
def test_the_temperature_is_the_one_of_the_highest_likelihood(sharpness):
    logits, truth = draws(3000, 0, sharpness=sharpness)
    fit = TemperatureFit()
    for start in range(0, 3000, 700):
        fit.update(logits[start : start + 700], truth[start : start + 700])

    def likelihood(logarithm: float) -> float:
        table = torch.tensor(logits / np.exp(logarithm))
        return float(torch.nn.functional.cross_entropy(table, torch.tensor(truth)))

    best = minimize_scalar(likelihood, bounds=(-4, 4), method="bounded").x
    assert fit.temperature == pytest.approx(np.exp(best), rel=3e-3)
    assert fit.temperature == pytest.approx(sharpness, rel=0.15)


def test_unknown_species_and_broken_scores_do_not_move_the_temperature():
    logits, truth = draws(500, 1)
    plain, mixed = TemperatureFit(), TemperatureFit()
    plain.update(logits, truth)
    worse = np.concatenate([logits, np.full((3, 5), np.nan), logits[:9]])
    mixed.update(worse, np.concatenate([truth, [0, 1, 2], np.full(9, -1)]))
    assert mixed.temperature == pytest.approx(plain.temperature)
    assert (mixed.rows, TemperatureFit().temperature) == (500, 1.0)


def outcomes_of(confidence: np.ndarray, right: np.ndarray, **higher: RankOutcomes) -> Outcomes:
    rows = len(confidence)
    return Outcomes(
        np.zeros(rows, np.int64),
        np.where(right, 0, 1),
        np.where(right, 1.0, 2.0),
        confidence,
        np.zeros(rows),
        np.zeros((rows, 1), np.int32),
        higher,
    )


@pytest.mark.parametrize("precision", [0.8, 0.95])
def test_a_promise_is_kept_nine_times_in_ten_and_answers_are_given(precision):
    """Confidence is the chance of being right, over many draws of validation rows."""
    everything = 1 - np.linspace(0, 1, 100_001) ** 3
    broken, coverage = 0, []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        confidence = 1 - rng.random(500) ** 3
        bound = lowest_threshold(confidence, rng.random(500) < confidence, precision)
        if bound is not None:
            given = everything[everything >= bound]
            broken += given.mean() < precision
            coverage.append(len(given) / len(everything))
    assert broken <= 20
    assert len(coverage) > 150 and np.median(coverage) > 0.25


def test_without_enough_rows_nothing_is_promised():
    assert lowest_threshold(np.ones(10), np.ones(10, bool), 0.95) is None
    assert lowest_threshold(np.empty(0), np.empty(0, bool), 0.5) is None
    always_wrong = outcomes_of(np.linspace(0, 1, 300), np.zeros(300, bool))
    assert keep_promise(always_wrong, 0.5) == {}


def test_a_genus_is_answered_where_the_species_is_not_sure():
    rng = np.random.default_rng(0)
    sure = np.arange(600) % 2 == 0
    confidence = np.where(sure, 0.99, 0.4) - rng.random(600) / 100
    right = sure | (rng.random(600) < 0.4)
    genus = RankOutcomes(np.zeros(600, np.int64), np.zeros(600, np.int64), confidence + 0.3)
    found = outcomes_of(confidence, right, genus=genus)
    thresholds = keep_promise(found, 0.9)
    place = deepest(found, thresholds)
    assert set(place[sure]) == {0} and set(place[~sure]) == {1}
    report = kept(found, {"0.90": thresholds})["0.90"]
    assert report["coverage"] == 1 and report["precision"] == 1
    assert report["ranks"]["genus"]["coverage"] == 0.5
    nothing = kept(found, {"0.99": {}})["0.99"]
    assert (nothing["n"], nothing["precision"]) == (0, None)


TREES = Taxonomy(
    (
        Taxon("Acer rubrum", "L.", "Acer", "Sapindaceae"),
        Taxon("Quercus alba", "L.", "Quercus", "Fagaceae"),
        Taxon("Quercus rubra", "L.", "Quercus", "Fagaceae"),
    )
)


def test_the_answer_is_at_the_deepest_rank_that_keeps_the_promise():
    ranking = PromisedRanking(TREES, {"species": 0.8, "genus": 0.7})
    answers = [
        answer
        for (answer,) in ranking(
            np.array([[0.9, 0.05, 0.05], [0.2, 0.45, 0.35], [0.4, 0.3, 0.3], [0.1, 0.1, 0.8]])
        )
    ]
    assert [answer.scientificName for answer in answers] == [
        *("Acer rubrum", "Quercus", "", "Quercus rubra")
    ]
    assert [answer.taxonRank for answer in answers] == ["species", "genus", UNKNOWN, "species"]
    assert str(answers[2]) == "unknown (0.400)"
    assert {a.taxonRank for (a,) in PromisedRanking(TREES, {})(np.eye(3))} == {UNKNOWN}


def test_outcomes_and_answers_agree_on_what_is_answered():
    logits = np.random.default_rng(0).normal(0, 3, (50, 3)).astype(np.float32)
    levels = Levels.of(TREES)
    accumulator = ScoreAccumulator(levels, temperature=1.7)
    blank = {rank: np.zeros(50, np.int64) for rank in levels.names}
    accumulator.update(logits, np.zeros(50, np.int64), blank)
    thresholds = {"species": 0.8, "family": 0.75}
    place = deepest(accumulator.outcomes(), thresholds)
    answers = PromisedRanking(TREES, thresholds)(
        torch.softmax(torch.tensor(logits) / 1.7, dim=1).numpy()
    )
    shown = ["species", "genus", "family", UNKNOWN]
    assert [shown[number] for number in place] == [answer.taxonRank for (answer,) in answers]
    assert NO_ANSWER not in place


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def herbzoo(monkeypatch, capsys) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


def test_the_command_calibrates_and_identify_answers_with_precision(run, tmp_path, herbzoo):
    leaves = coloured_leaves(tmp_path / "leaves", images_a_species=20)
    sheets = write_pictures(tmp_path / "sheets")
    code, _, err = herbzoo("identify", run, sheets, "--precision", "0.9")
    assert code == 2 and "herbzoo calibrate" in err and len(err.splitlines()) == 1
    code, out, err = herbzoo("calibrate", run, "--data", leaves, "--workers", "0")
    assert code == 0 and "temperature" in out, err
    calibration = Calibration.load(run)
    assert calibration is not None and calibration.rows == 60
    assert calibration.after["nll"] <= calibration.before["nll"]
    assert list(calibration.promises) == [f"{precision:.2f}" for precision in PRECISIONS]
    output = tmp_path / "names.csv"
    arguments = ("identify", run, sheets, "--precision", "0.95", "--output", output)
    assert herbzoo(*arguments)[0] == 0
    rows = rows_of(output.read_text())
    assert {row["taxonRank"] for row in rows} == {UNKNOWN}, "a model of random weights knows none"
    assert herbzoo(*arguments, "--resume")[0] == 0
    assert rows_of(output.read_text()) == rows
    code, _, err = herbzoo("identify", run, sheets, "--precision", "0.995")
    assert code == 2 and "0.99" in err
    code, _, err = herbzoo("identify", run, sheets, "--precision", "0.9", "--rank", "genus")
    assert code == 2 and "--rank" in err
    few = coloured_leaves(tmp_path / "few", images_a_species=2)
    code, _, err = herbzoo("calibrate", run, "--data", few)
    assert code == 2 and "at least 20" in err
    (run / "calibration.json").unlink()


def test_the_temperature_is_applied_wherever_the_model_runs(run, tmp_path):
    sheets = write_pictures(tmp_path / "sheets")
    plain = Identifier.from_pretrained(run, "cpu")
    cold = Identifier.from_pretrained(run, "cpu")
    cold.calibration = Calibration(0.01, 20, "rows")
    for one, other in zip(plain(sheets), cold(sheets), strict=True):
        assert one.best.scientificName == other.best.scientificName
        assert other.best.score > one.best.score


def test_a_damaged_or_newer_file_is_one_clear_line(run, tmp_path):
    Calibration(2.0, 20, "rows", promises={"0.90": {"species": 0.5}}).save(tmp_path)
    whole = json.loads((tmp_path / "calibration.json").read_text())
    for change, message in (
        ({"temperature": -1}, "out of range"),
        ({"promises": {"0.90": {"order": 0.5}}}, "out of range"),
        ({"schema_version": 99}, "upgrade"),
        ({"colour": "green"}, "damaged"),
    ):
        (tmp_path / "calibration.json").write_text(json.dumps(whole | change))
        with pytest.raises(RunError, match=message):
            Calibration.load(tmp_path)
    (tmp_path / "calibration.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        Calibration.load(tmp_path)
    assert Calibration.load(tmp_path / "elsewhere") is None
    with pytest.raises(HerbzooError, match="makes no promises"):
        Calibration(1.0, 20, "rows").thresholds(0.9)


def test_many_rows_are_drawn_from(run, tmp_path, monkeypatch):
    import herbzoo.evaluation.calibrate as module
    from herbzoo.data.readers import open_collection

    collection = open_collection(coloured_leaves(tmp_path / "leaves", images_a_species=20))
    monkeypatch.setattr(module, "MOST", 30)
    found = calibrate(Identifier.from_pretrained(run, "cpu"), collection, "leaves", workers=0)
    assert (found.rows, found.source) == (30, "leaves")


def test_scores_of_withheld_photos_are_stacked_before_they_calibrate(monkeypatch):
    taxonomy = Taxonomy(tuple(Taxon(f"Acer species{number}", "Acer") for number in range(3)))
    stacking = CalibratedStacking(1, 3)
    stacking.direction.fill_(1.0)
    frame = pd.DataFrame(
        {
            "image": [f"{row}.jpg" for row in range(40)],
            "scientificName": [taxonomy.taxa[row % 3].scientificName for row in range(40)],
            "basisOfRecord": FIELD,
        }
    )
    prepared = SimpleNamespace(
        model=SimpleNamespace(stacking=stacking),
        taxonomy=taxonomy,
        split=SimpleNamespace(train=collection_of(frame)),
    )
    features = torch.linspace(-3, 3, 40).unsqueeze(1)
    photos = [torch.arange(5, 20), torch.arange(20, 38)]
    offsets = torch.tensor([[0.0, 2.0, 0.0], [3.0, 0.0, 0.0]])
    logits = torch.randn(33, 3, generator=torch.Generator().manual_seed(0))
    given = {}

    def learned(scores, collection, names, source):
        given.update(scores=torch.cat([part for _, part in scores.chunks()]), rows=collection)

    monkeypatch.setattr(closed_form, "learned", learned)
    with ScoreSpool(3) as scores:
        for some in logits.split(10):
            scores.append(some)
        closed_form._calibrated(prepared, scores, features, photos, offsets)
    field = torch.sigmoid(features[5:38])
    wanted = logits + field * torch.cat([offsets[:1].expand(15, -1), offsets[1:].expand(18, -1)])
    torch.testing.assert_close(given["scores"], wanted)
    assert list(given["rows"].frame["image"]) == list(frame["image"][5:38])


def test_a_spool_gives_back_what_it_was_given_as_often_as_wanted():
    table = torch.randn(1000, 7)
    with ScoreSpool(7) as spool:
        assert not list(spool.chunks())
        for part in table.split(300):
            spool.append(part)
        for _ in range(2):
            parts = list(spool.chunks())
            torch.testing.assert_close(torch.cat([scores for _, scores in parts]), table)
        assert [part.start for part, _ in parts][1:] == [part.stop for part, _ in parts][:-1]
        assert len(spool) == parts[-1][0].stop == 1000
