"""How close canary audits come to the claim, and how surely they see half of the noise.

Every setting runs the code of dpsynth at one (ε, δ): as booked, with part of the booked noise, and
beside a simulation that shares nothing with it. Run

    python -m privacy_audits.canaries.tightness --runs runs.jsonl --page page.md

A run that was interrupted goes on where it stopped: each line of ``runs.jsonl`` is one audit.

Notes
-----
All tables are made up.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import stats

from privacy_audits.canaries.bench import BUDGET, SETTINGS, Setting
from privacy_audits.canaries.result import ALPHA, REPORTED

CANARIES = 1000

Kind = Literal["simulation", "code", "0.5 of the noise", "0.9 of the noise"]
KINDS: dict[Kind, float] = {
    "simulation": 1.0,
    "code": 1.0,
    "0.5 of the noise": 0.5,
    "0.9 of the noise": 0.9,
}
"""Runs of every setting, and how much of the booked noise each adds."""

ESTIMATORS = ("d′", "Steinke", "f-DP", "order statistics")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One audit.

    Parameters
    ----------
    setting, kind : str
    seed, canaries : int
    claim, expected, point, p_value : float
        See :class:`~privacy_audits.canaries.CanaryAudit`; ``point`` is d′ as ε.
    lower, ceiling : mapping of str to float
        By estimator, as ε.
    cpu_seconds : float
    """

    setting: str
    kind: str
    seed: int
    canaries: int
    claim: float
    expected: float
    point: float
    p_value: float
    lower: dict[str, float]
    ceiling: dict[str, float]
    cpu_seconds: float

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What a run is recognised by."""
        return self.setting, self.kind, self.seed, self.canaries


def run_line(setting: Setting, kind: Kind, seed: int, canaries: int) -> Line:
    """Run one audit."""
    began = time.process_time()
    if kind == "simulation":
        audit = setting.simulate(seed, canaries)
    else:
        audit = setting.audit(seed, KINDS[kind], canaries)
    bounds = dict(zip(ESTIMATORS, (audit.conformance, *audit.bounds), strict=True))
    return Line(
        setting=setting.name,
        kind=kind,
        seed=seed,
        canaries=canaries,
        claim=audit.claim,
        expected=audit.expected,
        point=audit.conformance.point,
        p_value=audit.p_value,
        lower={name: bound.lower for name, bound in bounds.items()},
        ceiling={name: min(bound.ceiling, 1e9) for name, bound in bounds.items()},
        cpu_seconds=time.process_time() - began,
    )


def read_lines(path: Path) -> list[Line]:
    """Return what was run before; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [Line(**json.loads(line)) for line in lines if line.endswith("\n")]


def run_study(path: Path, *, seeds: int, canaries: int) -> Iterator[Line]:
    """Run what is missing, append it to the file and yield everything."""
    before = read_lines(path)
    done = {line.key: line for line in before}
    # A line that was cut off must not be continued by the next one.
    path.write_text("".join(_written(line) for line in before), encoding="utf-8")
    with path.open("a", encoding="utf-8") as file:
        for setting in SETTINGS:
            for kind in KINDS:
                for seed in range(seeds):
                    key = (setting.name, kind, seed, canaries)
                    line = done.get(key)
                    if line is None:
                        line = run_line(setting, kind, seed, canaries)
                        file.write(_written(line))
                        file.flush()
                    yield line


def _written(line: Line) -> str:
    def rounded(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return {name: rounded(part) for name, part in value.items()}
        return float(f"{value:.6g}") if isinstance(value, float) else value

    document = {name: rounded(value) for name, value in asdict(line).items()}
    return json.dumps(document, ensure_ascii=False) + "\n"


def tables(lines: list[Line]) -> str:
    """Return two Markdown tables: bounds, and how often each lies above the claim."""
    seeds = len({line.seed for line in lines})
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.setting, line.kind), []).append(line)
    bounds = [
        "| mechanism | run | claim | d′ as ε | " + " | ".join(f"{n} ≥" for n in ESTIMATORS) + " |",
        "|---|---|---:|---:|" + "---:|" * len(ESTIMATORS),
    ]
    shares = [
        "| mechanism | run | "
        + " | ".join(f"{n} above claim" for n in ESTIMATORS)
        + f" | p < {ALPHA:g} |",
        "|---|---|" + "---:|" * (len(ESTIMATORS) + 1),
    ]
    for (setting, kind), group in groups.items():
        means = [np.mean([line.lower[name] for line in group]) for name in ESTIMATORS]
        above = [sum(line.lower[name] > line.claim for line in group) for name in ESTIMATORS]
        refuted = sum(line.p_value < ALPHA for line in group)
        point = np.mean([line.point for line in group])
        bounds.append(
            f"| {setting} | {kind} | {group[0].claim:.2f} | {point:.2f} | "
            + " | ".join(f"{mean:.2f}" for mean in means)
            + " |"
        )
        shares.append(
            f"| {setting} | {kind} | "
            + " | ".join(f"{number} of {seeds}" for number in above)
            + f" | {refuted} of {seeds} |"
        )
    return "\n".join(bounds) + "\n\n" + "\n".join(shares) + "\n"


_PAGE = """\
# How tight canary audits are

Generated by

```
python -m privacy_audits.canaries.tightness --runs runs.jsonl --page docs/audits-tightness.md
```

in {minutes:.0f} minutes of one core. Each audit is a line of `runs.jsonl`; a study that was
interrupted goes on there. How it is done: `privacy_audits/canaries`.

One run, {canaries} canaries of which each is in or out by a fair coin, ε = {epsilon:g} at
δ = {delta:g}, {seeds} seeds. *Code* runs dpsynth as booked; *simulation* is
`privacy_audits/canaries/reference.py`, NumPy alone. Bounds hold with {confidence:g}% confidence
each and are shown as ε; the table gives their means over the seeds.

{tables}
## How to read it

- **d′ is the headline of conformance.** It uses every score and takes for granted that scores are
  normal and canaries independent, which is so where the code is the mechanism that was booked. The
  three one-run estimators make the statement about ε: Steinke's assumes nothing but the coins,
  f-DP a Gaussian trade-off curve, order statistics canaries that do not meet.
- A bound with {confidence:g}% confidence lies above a claim that is met with equality in up to
  {level:g}% of all runs: in {expected_above:.0f} of {seeds} seeds on average, in more than
  {most_above} of {seeds} once in a hundred such tables. d′ is that tight for full batches and
  counts; the other estimators are not.
- **p < {alpha:g}** is the test of the gate: d′ against simulated runs of the booked event on the
  same canaries. It is meant to fire in {alpha_percent:g}% of all runs of right code.
- Under Poisson sampling a right implementation shows less than the claim: the accountant's ε is
  that of the best test at one point of the trade-off curve, d′ averages over all of it. Votes show
  less since canaries meet in every margin. Both are seen in the simulation as well.

## What canaries do not see

- **0.9 of the noise**: the test of the gate sees it in {seen_least} to {seen_most} of {seeds}
  audits. With m canaries the standard error of d′ is about 2/√m. The chi-square test of
  `privacy_audits.conformance` is certain of it after 5,000 draws.
- Shuffled or fixed batches: each canary is in as many steps as under Poisson sampling, and its
  score does not use who else was.
- Domains, bounds or sizes that were read off the real rows: the other rows are a released table.
- The accountant: claim and simulation both start from the event.
- Claims above the ceiling: if all guesses were right, Steinke's bound would be ε ≥ {ceiling:.2f}
  with {canaries} canaries and the numbers of guesses that are declared.
"""


def page(lines: list[Line]) -> str:
    """Return the page of the documentation."""
    seeds = len({line.seed for line in lines})
    seen = [
        sum(
            line.p_value < ALPHA
            for line in lines
            if (line.setting, line.kind) == (setting.name, "0.9 of the noise")
        )
        for setting in SETTINGS
    ]
    return _PAGE.format(
        canaries=lines[0].canaries,
        epsilon=BUDGET.epsilon,
        delta=BUDGET.delta,
        seeds=seeds,
        seen_least=min(seen),
        seen_most=max(seen),
        minutes=sum(line.cpu_seconds for line in lines) / 60,
        confidence=100 * (1 - REPORTED),
        level=100 * REPORTED,
        alpha=ALPHA,
        alpha_percent=100 * ALPHA,
        tables=tables(lines),
        expected_above=REPORTED * seeds,
        most_above=int(stats.binom.ppf(0.99, seeds, REPORTED)),
        ceiling=max(line.ceiling["Steinke"] for line in lines),
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description="Tightness of canary audits.")
    parser.add_argument("--runs", type=Path, required=True, help="JSON lines; continued if there")
    parser.add_argument("--page", type=Path, required=True, help="Markdown page; replaced")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--canaries", type=int, default=CANARIES)
    options = parser.parse_args(arguments)
    lines = list(run_study(options.runs, seeds=options.seeds, canaries=options.canaries))
    options.page.write_text(page(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
