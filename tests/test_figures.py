from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny import TAXONOMY, coloured_leaves

from herbzoo.data.class_figure import _COLOURS
from herbzoo.data.readers import open_collection
from herbzoo.data.records import FIELD, HERBARIUM, Collection
from herbzoo.evaluation.class_counts import Answers
from herbzoo.evaluation.evaluated import Evaluated
from herbzoo.evaluation.figures import look
from herbzoo.evaluation.figures.confusion import confused_pairs, confusion_figure
from herbzoo.evaluation.figures.look import NothingToDraw, plain, write_png
from herbzoo.evaluation.figures.neighbours import neighbours_figure
from herbzoo.evaluation.figures.picture import picture_of
from herbzoo.evaluation.figures.reliability import ReliabilityBins, reliability_figure
from herbzoo.evaluation.figures.risk_coverage import RiskCoverage, risk_coverage_figure
from herbzoo.evaluation.figures.species_f1 import species_f1_figure
from herbzoo.evaluation.figures.training_curves import read_curves, training_curves_figure
from herbzoo.evaluation.metrics import calibration_error
from herbzoo.evaluation.outcomes import NO_NAME, Levels, Outcomes, RankOutcomes
from herbzoo.evaluation.ranking import ranked

ACER, ALBA, RUBRA = range(3)


def outcomes_of(truth, answers, confidence=0.9) -> Outcomes:
    """Outcomes with those answers, each given with about that confidence."""
    scores = np.zeros((len(truth), 3))
    share = np.broadcast_to(confidence, len(truth))
    scores[np.arange(len(truth)), answers] = np.log(2 * share / (1 - share))
    return ranked(scores, truth)


def words(figure) -> str:
    """All that is written in a figure."""
    import matplotlib.text

    figure.canvas.draw()
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


@pytest.fixture(scope="module")
def leaves(tmp_path_factory) -> Collection:
    """Two images a species: first a field photo, then a sheet."""
    folder = coloured_leaves(tmp_path_factory.mktemp("leaves"), images_a_species=2)
    collection = open_collection(folder)
    frame = collection.frame.sort_values(["image"], ignore_index=True)
    return replace(collection, frame=frame.assign(basisOfRecord=[FIELD, HERBARIUM] * 3))


def evaluated_of(collection: Collection, answers, embeddings=None) -> Evaluated:
    index = TAXONOMY.index
    truth = np.array([index.get(name, -1) for name in collection.frame["scientificName"]])
    return Evaluated(
        collection,
        outcomes_of(truth, answers),
        TAXONOMY,
        Levels.of(TAXONOMY),
        embeddings=embeddings,
    )


def test_reliability_bins_add_up_to_the_calibration_error():
    generator = np.random.default_rng(0)
    truth, answers = generator.integers(3, size=(2, 300))
    outcomes = outcomes_of(truth, answers, generator.uniform(0.4, 0.999, 300))
    bins = ReliabilityBins.of(outcomes)
    filled = bins.rows > 0
    gaps = np.abs(bins.confidence - bins.accuracy)[filled]
    assert np.average(gaps, weights=bins.rows[filled]) == pytest.approx(calibration_error(outcomes))
    assert (bins.spread[0] <= bins.accuracy)[filled].all()
    assert (bins.spread[1] >= bins.accuracy)[filled].all()
    assert f"ECE {calibration_error(outcomes):.3f}, n = 300" in words(reliability_figure(outcomes))


def test_reliability_shows_before_and_after():
    after, before = outcomes_of([0, 1, 2], [0, 1, 1], 0.6), outcomes_of([0, 1, 2], [0, 1, 1], 0.99)
    text = words(reliability_figure(after, before))
    assert f"before calibration: ECE {calibration_error(before):.3f}" in text
    assert f"after: ECE {calibration_error(after):.3f}" in text


def test_figures_of_nothing_say_so_and_one_row_is_enough():
    nothing = ranked(np.full((2, 3), np.nan), [0, 1])
    one = outcomes_of([0], [0])
    for draw in (reliability_figure, risk_coverage_figure):
        draw(one).canvas.draw()
        with pytest.raises(NothingToDraw, match="answer"):
            draw(nothing)
    with pytest.raises(NothingToDraw, match="training images"):
        species_f1_figure(Answers(one.truth, one.predicted).counts(), np.zeros(3))


def test_risk_is_that_of_the_surest_answers_and_ties_are_never_ordered():
    truth = np.array([0, 0, 0, 0, NO_NAME])
    answers = RankOutcomes(truth, np.array([0, 1, 0, 1, 1]), np.array([0.9, 0.8, 0.8, 0.1, 0.99]))
    curve = RiskCoverage.of(answers)
    assert curve.n == 4
    assert curve.coverage.tolist() == [0.25, 0.75, 1]
    assert curve.risk.tolist() == pytest.approx([0, 1 / 3, 0.5])
    # Among the two that are equally sure, the wrong one comes first half of the time.
    assert curve.area == pytest.approx(np.mean([0, 0.5 / 2, 1 / 3, 0.5]))
    swapped = answers.select(np.array([2, 3, 1, 0]))
    assert RiskCoverage.of(swapped).area == pytest.approx(curve.area)


def test_rows_without_an_answer_are_never_covered():
    answers = RankOutcomes(np.array([0, 0]), np.array([0, -9]), np.array([0.9, np.nan]))
    curve = RiskCoverage.of(answers)
    assert curve.coverage.tolist() == [0.5]
    assert curve.area == pytest.approx((0 + 0.5) / 2)


def test_risk_coverage_has_a_line_a_rank_and_a_dot_a_threshold():
    levels = Levels.of(TAXONOMY)
    higher = {rank: codes[[0, 1, 2]] for rank, codes in levels.codes.items()}
    outcomes = ranked(np.eye(3)[[0, 2, 2]], [0, 1, 2], levels=levels, higher=higher)
    text = words(risk_coverage_figure(outcomes, {"costs $x$": (0.4, 0.25)}))
    assert "species: 33.3% wrong of all" in text
    assert "genus: 0.0% wrong of all" in text
    assert "family: 0.0% wrong of all" in text
    assert r"costs \$x\$: 25.0% wrong of 40.0%" in text


def test_pairs_count_each_direction_and_stand_once():
    truth = [ACER] * 4 + [ALBA] * 5 + [RUBRA] * 2 + [-1]
    answers = [ALBA] * 1 + [ACER] * 3 + [ACER] * 3 + [RUBRA] * 2 + [RUBRA] * 2 + [RUBRA]
    pairs = confused_pairs(outcomes_of(np.array(truth), answers))
    found = [(p.truth, p.answer, p.mistakes, p.rows, p.reverse, p.reverse_rows) for p in pairs]
    assert found == [
        (ALBA, ACER, 3, 5, 1, 4),
        (ALBA, RUBRA, 2, 5, 0, 2),
        (-1, RUBRA, 1, 1, 0, 2),
    ]
    tied = confused_pairs(outcomes_of(np.array([ACER, ALBA]), [ALBA, ACER]))
    assert len(tied) == 1 and tied[0].mistakes == tied[0].reverse == 1


def test_confusion_shows_the_mistake_beside_a_training_image_of_the_same_domain(
    leaves, monkeypatch
):
    from herbzoo.evaluation.figures import confusion

    shown = []
    monkeypatch.setattr(
        confusion, "show_picture", lambda axis, of, row, **style: shown.append((of, row))
    )
    evaluated = evaluated_of(leaves, [ACER, ALBA, ALBA, ALBA, RUBRA, RUBRA])
    train = leaves.select(np.array([3, 2]))
    text = words(confusion_figure(evaluated, train))
    assert "Acer rubrum → Quercus alba" in text and "1 of 2 images" in text
    assert shown == [(leaves, 1), (train, 0)], "the sheet that was wrong, and a sheet"
    shown.clear()
    confusion_figure(evaluated, None)
    assert shown == [(leaves, 1)]
    with pytest.raises(NothingToDraw, match="no species"):
        confusion_figure(evaluated_of(leaves, [0, 0, 1, 1, 2, 2]), train)


def test_an_image_that_cannot_be_read_is_a_grey_box(leaves, tmp_path):
    gone = replace(leaves, frame=leaves.frame.assign(image="gone.jpg"))
    assert picture_of(leaves, 0).shape == (48, 64, 3)
    assert picture_of(gone, 0) is None
    figure = confusion_figure(evaluated_of(gone, [1, 0, 1, 1, 2, 2]), gone)
    assert words(figure).count("cannot be read") == 2
    path = write_png(figure, tmp_path / "new" / "confusion.png")
    with Image.open(path) as image:
        assert image.width == pytest.approx(look.WIDTH * look.DPI)
    assert [item.name for item in path.parent.iterdir()] == ["confusion.png"]


def test_f1_leaves_out_strangers_and_shades_many_medium_and_few():
    truth, answers = np.array([0, 1, 2, -1]), np.array([0, 1, 1, 0])
    counts = Answers(truth, answers).counts()
    text = " ".join(words(species_f1_figure(counts, np.array([5, 20, 101]))).split())
    assert "F1 of 3 species" in text and "1 more are unknown to the model" in text
    assert "few: fewer than 20 1 species, mean 0.667" in text
    assert "medium: 20 to 100 1 species, mean 0.667" in text
    assert "many: more than 100 1 species, mean 0.000" in text
    none = " ".join(words(species_f1_figure(counts, np.array([0, 20, 101]))).split())
    assert "few: fewer than 20 1 species" in none


def write_logs(run, values, first_step=1):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run / "logs")) as writer:
        for step, value in enumerate(values, first_step):
            writer.add_scalar("train/epoch", step / 2, step)
            writer.add_scalar("train/loss", value, step)
            writer.add_scalar("eval/loss", value + 1, step)
            writer.add_scalar("eval/top1", 1 - value / 10, step)


def test_curves_are_by_epoch_and_a_resumed_run_counts_once(tmp_path):
    write_logs(tmp_path, [4, 3, 9, 9])
    write_logs(tmp_path, [2, 1, float("nan")], first_step=3)
    curves = read_curves(tmp_path)
    assert curves.training_loss.at.tolist() == [0.5, 1, 1.5, 2, 2.5]
    assert curves.training_loss.values[:4].tolist() == [4, 3, 2, 1]
    assert curves.validation_loss.values[:4].tolist() == [5, 4, 3, 2]
    assert curves.epochs
    text = words(training_curves_figure(curves))
    assert "highest 0.900, epoch 2" in text and "validation loss" in text


def test_a_run_without_logs_has_no_curves(tmp_path):
    assert read_curves(tmp_path) is None
    (tmp_path / "logs").mkdir()
    assert read_curves(tmp_path) is None
    (tmp_path / "logs" / "events.out.tfevents.1").write_bytes(b"no events" * 20)
    assert read_curves(tmp_path) is None


def test_neighbours_are_sheets_and_marked_by_words(leaves):
    embeddings = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, 0], [1, -0.2]], np.float32)
    evaluated = evaluated_of(leaves, [ACER, ACER, RUBRA, ALBA, RUBRA, RUBRA], embeddings)
    text = words(neighbours_figure(evaluated, evaluated))
    assert "herbarium sheets the nearest to 3 field photos" in text
    assert "right species for 67% of 3 field photos" in text
    assert "Acer rubrum\n✓ named right (90%)" in text
    assert "Quercus alba\n✗ named Quercus rubra (90%)" in text
    assert "1. Acer rubrum\n✓ same species, cosine 1.00" in text
    assert "1. Quercus alba\n✗ another, cosine -0.10" in text, "the nearest to a red oak"


def test_an_image_is_no_neighbour_of_its_own(leaves):
    sheets = replace(leaves, frame=leaves.frame.assign(basisOfRecord=""))
    evaluated = evaluated_of(sheets, [0, 0, 1, 1, 2, 2], np.eye(6, dtype=np.float32))
    with pytest.raises(NothingToDraw, match="nothing to look up"):
        neighbours_figure(evaluated, evaluated)
    with pytest.raises(NothingToDraw, match="no embeddings"):
        neighbours_figure(replace(evaluated, embeddings=None), evaluated)


def test_user_text_is_no_formula_and_stays_on_its_line(leaves):
    assert plain("Acer\n $rubrum$") == r"Acer \$rubrum\$"
    assert plain("Quercus muehlenbergii", 10) == "Quercus m…"
    formula = leaves.frame.assign(scientificName="Acer $\\frac{$")
    evaluated = evaluated_of(replace(leaves, frame=formula), [ACER] * 6)
    assert "frac" in words(confusion_figure(evaluated, None)), "and drawing it raised nothing"


def test_colours_are_those_of_the_class_figure():
    assert _COLOURS["herbarium"] == look.BLUE
    assert _COLOURS["field"] == look.ORANGE
