"""Faithfulness: how often a painting shows what its caption asked for. Protocol: docs/evaluation.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from limner.evaluation import figures
from limner.evaluation.attributes import Attributes
from limner.evaluation.bench import Bench
from limner.evaluation.judgement import Judgement, judgement_of, lacks_questions
from limner.evaluation.metric import Gallery, Measured, Metric, Table
from limner.evaluation.oracle import Verdicts
from limner.evaluation.questions import Questions
from limner.randomness import stream

PROTOCOL = "faithfulness-1"
SHUFFLES = 10
"""Other captions that each painting is judged by in the control."""
_TRUSTED = 0.9
"""A ceiling below this brings a warning."""
_CONFUSIONS = 3


@dataclass(frozen=True)
class Score:
    """How often something was painted as asked. Shares are 0..1; None where there was nothing to count."""

    samples: int
    """Paintings that were asked for it."""
    accuracy: float | None
    interval: tuple[float, float]
    """95 % confidence interval of the accuracy (Wilson)."""
    ceiling: float | None
    """The same on real pictures that the oracle never saw."""
    ceiling_samples: int
    ceiling_interval: tuple[float, float]
    share_of_ceiling: float | None
    """accuracy / ceiling."""
    shuffled: float | None
    """The control: the same paintings judged by what other captions asked, ten for each."""
    chance: float | None
    """How often two random captions ask for the same: what the control is expected to be near."""


@dataclass(frozen=True)
class Faithfulness:
    """The figures of the measure."""

    protocol: str
    samples: int
    passed_over: int
    """Pictures of the split whose first caption decides no attribute."""
    attributes: Mapping[str, Score]
    all_attributes: Score
    """All attributes that the caption decides are right at once. Its chance is that of asking for the same of all."""
    confusion: Mapping[str, Mapping[str, Mapping[str, int]]]
    """attribute -> asked -> seen -> paintings."""
    constant: tuple[str, ...]
    """Attributes with one value in the whole data set: not judged."""
    undecided: tuple[str, ...]
    """Attributes that no caption here decides: not judged (``diversity`` looks at them)."""


def faithfulness(questions: Questions, verdicts: Verdicts, real: Questions, real_verdicts: Verdicts,
                 attributes: Attributes, *, seed: int = 0) -> Faithfulness:
    """The measure from verdicts.

    Args:
        questions: what was asked, for N paintings (2 or more).
        verdicts: what the oracle saw in the paintings.
        real: what captions of real pictures that the oracle never saw ask for ...
        real_verdicts: ... and what it saw in those pictures: the ceiling.
        seed: of the shuffling of the control.
    """
    partners = figures.others(len(questions), SHUFFLES, stream(seed, "faithfulness control")).ravel()
    right = verdicts.seen == questions.asked
    shuffled = np.tile(verdicts.seen, (len(partners) // len(questions), 1)) == questions.asked[partners]
    real_right = real_verdicts.seen == real.asked
    scores, confusion = {}, {}
    for column, (name, classes) in enumerate(attributes.classes.items()):
        here = questions.counts[:, column]
        if not here.any():
            continue
        asked = questions.asked[here, column]
        scores[name] = _score(right[here, column], real_right[real.counts[:, column], column],
                              shuffled[questions.counts[partners, column], column], figures.chance(asked))
        confusion[name] = figures.confusion(asked, verdicts.seen[here, column], classes)
    demands = np.where(questions.counts, questions.asked, -1)
    everything = _score(_all(right, questions.counts), _all(real_right, real.counts),
                        _all(shuffled, questions.counts[partners]),
                        figures.chance(np.unique(demands, axis=0, return_inverse=True)[1].ravel()))
    undecided = tuple(name for name in attributes.names if name not in scores)
    return Faithfulness(PROTOCOL, len(questions), questions.passed_over, scores, everything, confusion,
                        attributes.constant, undecided)


def _all(right: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.all(np.logical_or(right, ~counts), axis=1)


def _score(right: np.ndarray, real_right: np.ndarray, shuffled: np.ndarray, chance: float) -> Score:
    accuracy, ceiling = _mean(right), _mean(real_right)
    return Score(
        samples=len(right), accuracy=accuracy, interval=figures.interval(int(right.sum()), len(right)),
        ceiling=ceiling, ceiling_samples=len(real_right),
        ceiling_interval=figures.interval(int(real_right.sum()), len(real_right)),
        share_of_ceiling=accuracy / ceiling if accuracy is not None and ceiling else None,
        shuffled=_mean(shuffled), chance=chance,
    )


def _mean(flags: np.ndarray) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _measure(bench: Bench) -> Measured:
    judgement = judgement_of(bench)
    attributes = bench.attributes
    result = faithfulness(judgement.questions, judgement.verdicts, judgement.unseen, judgement.unseen_verdicts,
                          attributes, seed=bench.seed)
    notes = []
    if result.passed_over:
        notes.append(f"{result.passed_over} pictures were passed over: their first caption decides no attribute.")
    if result.constant:
        notes.append(f"Not judged, for they have one value only: {', '.join(result.constant)}.")
    return Measured(dataclasses.asdict(result), tables=[_table(result), *_confusions(result)], notes=notes,
                    warnings=_warnings(result, bench.oracle.config.steps), gallery=_gallery(judgement, attributes))


METRICS = {"faithfulness": Metric("how often a painting shows what its caption asked for", lacks_questions, _measure)}


def _warnings(result: Faithfulness, steps: int) -> list[str]:
    warnings, weak = [], []
    for name, score in result.attributes.items():
        if score.ceiling is None:
            warnings.append(f"no real picture was left to find the ceiling of {name}: the split is too small.")
        elif score.ceiling < _TRUSTED:
            weak.append(f"{name} in only {score.ceiling:.0%} of {score.ceiling_samples}")
    if weak:
        warnings.append(f"of real pictures the oracle recognises {', '.join(weak)}: what it says of paintings is as "
                        f"doubtful. Longer training (--oracle steps={4 * steps}) or more pictures make it better.")
    return warnings


def _table(result: Faithfulness) -> Table:
    rows = []
    for name, score in (*result.attributes.items(), ("all of these", result.all_attributes)):
        low, high = score.interval
        shares = [percent(share) for share in (score.ceiling, score.share_of_ceiling, score.shuffled, score.chance)]
        rows.append([name, percent(score.accuracy), f"{low:.1%} - {high:.1%}", *shares,
                     _mistakes(result.confusion.get(name, {}))])
    columns = ("attribute", "right", "95 % interval", "ceiling", "of ceiling", "shuffled", "chance", "mostly wrong")
    return Table(f"{result.protocol}: {result.samples} captions", columns, rows, left=("mostly wrong",))


def _mistakes(confusion: Mapping[str, Mapping[str, int]]) -> str:
    """The most frequent confusions of an attribute, in words."""
    wrong = [(count / sum(row.values()), asked, seen) for asked, row in confusion.items()
             for seen, count in row.items() if seen != asked]
    worst = sorted(wrong, reverse=True)[:_CONFUSIONS]
    return ", ".join(f"{asked} as {seen} {share:.0%}" for share, asked, seen in worst if share >= 0.005)


def _confusions(result: Faithfulness) -> list[Table]:
    """Of each attribute, which of the values asked for (rows) was seen as which (columns)."""
    tables = []
    for name, confusion in result.confusion.items():
        seen = sorted({value for row in confusion.values() for value in row} | set(confusion))
        rows = [[asked, *(str(row.get(value, "")) for value in seen)] for asked, row in confusion.items()]
        tables.append(Table(f"{name}: asked for (rows), seen (columns), paintings", (name, *seen), rows,
                            page_only=True, shaded=True))
    return tables


def _gallery(judgement: Judgement, attributes: Attributes) -> Gallery:
    return Gallery(judgement.paintings, judgement.questions.captions, judgement.seeds,
                   certainty(judgement.questions, judgement.verdicts),
                   "the least probability that the oracle gives to anything asked for",
                   [_verdict(judgement, row, attributes) for row in range(len(judgement.questions))])


def certainty(questions: Questions, verdicts: Verdicts) -> np.ndarray:
    """How sure the oracle is that a painting shows all its caption asked for: float64 (N,), the least probability."""
    rows = np.arange(len(questions))
    given = [np.where(questions.counts[:, column], table[rows, questions.asked[:, column]], np.inf)
             for column, table in enumerate(verdicts.probabilities)]
    return np.min(given, axis=0).astype(np.float64)


def _verdict(judgement: Judgement, row: int, attributes: Attributes) -> str:
    """What the oracle saw instead of what was asked."""
    questions, seen = judgement.questions, judgement.verdicts.seen[row]
    wrong = [f"{name} {classes[seen[column]]}, not {classes[questions.asked[row, column]]}"
             for column, (name, classes) in enumerate(attributes.classes.items())
             if questions.counts[row, column] and seen[column] != questions.asked[row, column]]
    return "wrong: " + "; ".join(wrong) if wrong else "right"


def percent(share: float | None) -> str:
    """A share for people; a dash where nothing was counted."""
    return "-" if share is None else f"{share:.1%}"
