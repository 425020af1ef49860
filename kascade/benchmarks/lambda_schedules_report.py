"""Tables of the lambda benchmark: for the terminal, as CSV and as Markdown."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from kascade.benchmarks.lambda_schedules import REFERENCE
from kascade.benchmarks.lambda_schedules_noise import REPLICAS, Gain
from kascade.benchmarks.lambda_schedules_probes import ACCELERATIONS, ACS, COILS, MEASURED, SNR
from kascade.benchmarks.lambda_schedules_results import LambdaResults
from kascade.benchmarks.lambda_schedules_scores import table_of
from kascade.benchmarks.lambda_schedules_statistics import Difference, paired_difference
from kascade.benchmarks.lambda_sweep import best
from kascade.benchmarks.tables import Table, markdown_table
from kascade.unroll.schedules import NICKEL_TABLE_1

__all__ = ["csv_files", "difference_rows", "differences", "lambda_markdown", "score_rows"]


def score_rows(results: LambdaResults) -> Table:
    """Columns and rows: validation, then PSNR and SSIM of every schedule at every R, and on the measured scan."""
    kinds = [("", False), *([("measured, ", True)] if results.measured else [])]
    columns = ["schedule", "validation", *(f"{name}R = {accel}" for name, _ in kinds for accel in ACCELERATIONS)]
    rows = []
    for schedule in results.schedules:
        cells = [_score(results, schedule.name, accel, measured) for _, measured in kinds for accel in ACCELERATIONS]
        rows.append([_name(results, schedule.name), f"{results.validation(schedule.name):.2f}", *cells])
    return columns, rows


def differences(results: LambdaResults) -> Iterator[tuple[str, int, str, bool, Difference]]:
    """Schedule, R, metric, whether on the measured scan, and the difference of the learned schedule to that one."""
    for schedule in results.schedules[1:]:
        for measured in (False, True) if results.measured else (False,):
            for accel in ACCELERATIONS:
                for metric in ("psnr", "ssim"):
                    ours, theirs = (
                        table_of(results.scores, name, accel, metric, measured) for name in (REFERENCE, schedule.name)
                    )
                    yield schedule.name, accel, metric, measured, paired_difference(ours, theirs)


def difference_rows(results: LambdaResults) -> Table:
    """Columns and rows: learned minus every other schedule on the simulated scans, mean [95 % interval]."""
    columns = [f"{REFERENCE} minus"]
    columns += [f"{name}, R = {accel}" for accel in ACCELERATIONS for name in ("PSNR [dB]", "SSIM")]
    found = {(s, a, m): d for s, a, m, measured, d in differences(results) if not measured}
    rows = []
    for schedule in results.schedules[1:]:
        name = schedule.name
        cells = [
            _interval(found[name, accel, metric], digits)
            for accel in ACCELERATIONS
            for metric, digits in (("psnr", 2), ("ssim", 4))
        ]
        rows.append([_name(results, name), *cells])
    return columns, rows


def _seed_rows(results: LambdaResults) -> Table:
    found = {(s, a): d for s, a, m, measured, d in differences(results) if m == "psnr" and not measured}
    columns = [
        f"{REFERENCE} minus",
        *(f"R = {accel}, seed {seed}" for accel in ACCELERATIONS for seed in results.seeds),
    ]
    others = [schedule.name for schedule in results.schedules[1:]]
    return columns, [
        [_name(results, name), *(f"{v:+.2f}" for accel in ACCELERATIONS for v in found[name, accel].by_seed)]
        for name in others
    ]


def csv_files(results: LambdaResults) -> dict[str, str]:
    """Name of the file to its text: scores.csv, differences.csv, iterations.csv, noise.csv."""
    heads = ["schedule", "seed", "scan", "slice", "accel", "measured"]
    places = [(s, [s.schedule, s.seed, s.scan, s.slice, s.accel, int(s.measured)]) for s in results.scores]
    scores = [[*place, s.psnr, s.ssim] for s, place in places]
    steps = [
        [*place, n, *values]
        for s, place in places
        for n, *values in zip(itertools.count(1), s.lam, s.x, s.z, strict=False)
    ]
    paired = [
        [name, accel, metric, int(measured), d.mean, d.low, d.high, d.freedom, " ".join(f"{v:.6g}" for v in d.by_seed)]
        for name, accel, metric, measured, d in differences(results)
    ]
    noise = list(Gain.__dataclass_fields__)
    return {
        "scores.csv": _csv([*heads, "psnr", "ssim"], scores),
        "differences.csv": _csv(
            ["schedule", "accel", "metric", "measured", "mean", "low", "high", "freedom", "by_seed"], paired
        ),
        "iterations.csv": _csv([*heads, "iteration", "lam", "psnr_x", "psnr_z"], steps),
        "noise.csv": _csv(noise, [[getattr(gain, name) for name in noise] for gain in results.gains]),
    }


def lambda_markdown(results: LambdaResults) -> str:
    """Everything as Markdown."""
    seeds = len(results.seeds)
    parts = [
        "## What was done",
        _conditions(results),
        "## Plain SENSE over λ (Nickel's Fig. 3)",
        markdown_table(_sweep_rows(results)),
        "## Schedules",
        f"PSNR in dB (± its standard deviation over {seeds} seeds) / SSIM, within the head. validation: PSNR on the "
        "validation examples, by which the weights of each training and the best constant λ are chosen."
        + _edge(results),
        markdown_table(score_rows(results)),
        "## Learned λ against the others",
        _statistics(results),
        markdown_table(difference_rows(results)),
        "PSNR of the single seeds, in dB:",
        markdown_table(_seed_rows(results)),
        "## λ of each iteration",
        "Means over seeds (in brackets: lowest and highest seed) and, of the predicted ones, over the simulated scans.",
        markdown_table(_lambda_rows(results)),
        *_along(results),
        "## Noise of the whole cascade",
        f"Standard deviation of each pixel over {REPLICAS} noise realizations through the whole cascade, over that of "
        f"the fully sampled image; a simulated head, {COILS} coils, SNR {SNR:g}; median / 95th percentile within the "
        "head, means over seeds. λ bounds the gain of a SENSE step whose prior is free of noise; what the prior brings "
        "comes on top.",
        markdown_table(_noise_rows(results)),
    ]
    return "\n\n".join(parts) + "\n"


def _conditions(results: LambdaResults) -> str:
    recipe, runs = results.recipe, results.trainings
    sources = ", ".join(getattr(source, "folder", "phantom") for source in recipe.data.sources)
    scans = len({s.scan for s in results.scores if not s.measured})
    slices = len({(s.scan, s.slice) for s in results.scores if not s.measured})
    measured = f" `{MEASURED}`, measured, is scored beside them." if results.measured else ""
    minutes = [t.minutes for t in runs]
    return (
        f"{len(results.schedules)} schedules x {len(results.seeds)} seeds, one recipe: {recipe.model.iterations} "
        f"iterations, {runs[0].parameters:,} parameters, {recipe.training.steps} steps of {recipe.training.batch} "
        f"examples from {sources}, one model for R = {' and '.join(map(str, ACCELERATIONS))}. Of one seed all "
        "schedules start with the same networks and see the same examples in the same order. One training took "
        f"{np.mean(minutes):.1f} minutes ({min(minutes):.1f} to {max(minutes):.1f}), "
        f"{np.median([t.seconds_per_step for t in runs]):.2f} s a step, on {results.machine}.\n\n"
        f"Tested on {slices} slices of {scans} simulated scans that no training saw ({COILS} coils, SNR {SNR:g}, {ACS} "
        f"central lines, scored against the noise-free truth).{measured}"
    )


def _statistics(results: LambdaResults) -> str:
    scans = len({s.scan for s in results.scores if not s.measured})
    seeds = len(results.seeds)
    if seeds == 1:
        unit = f"over {scans} scans of one seed: the interval tells nothing of what another seed would give"
    else:
        unit = (
            f"over {seeds} seeds x {scans} scans, both taken as drawn at random (Hillis 2007): the interval is for "
            "other seeds and other scans; few seeds that disagree make it wide"
        )
    return (
        f"Paired differences, mean [95 % t interval], {unit}. The unit is a scan, its slices averaged. Intervals are "
        "not corrected for the number of comparisons."
    )


def _along(results: LambdaResults) -> list[str]:
    parts = ["## PSNR along the cascade", "After each SENSE step (x) and each network (z), means over simulated scans."]
    for accel in ACCELERATIONS:
        rows = []
        for name in results.shown:
            x, z = (table_of(results.scores, name, accel, step).mean((0, 1)) for step in ("x", "z"))
            rows.append([name, *(f"{a:.2f} / {b:.2f}" for a, b in zip(x, z, strict=True))])
        columns = [f"R = {accel}: x / z of iteration", *(str(n) for n in range(1, len(rows[0])))]
        parts.append(markdown_table((columns, rows)))
    return parts


def _sweep_rows(results: LambdaResults) -> Table:
    columns = ["scans", "R", "true R", "λ of the best PSNR", "PSNR [dB]", "λ of the best SSIM", "SSIM"]
    rows = []
    for name, points in results.sweeps.items():
        for accel in dict.fromkeys(point.accel for point in points):
            p, s = best(points, accel, "psnr"), best(points, accel, "ssim")
            place = [name, f"{accel:g}", f"{p.true_acceleration:.2f}"]
            rows.append([*place, f"{p.lam:.3g}", f"{p.psnr:.2f}", f"{s.lam:.3g}", f"{s.ssim:.4f}"])
    return columns, rows


def _lambda_rows(results: LambdaResults) -> Table:
    rows = []
    for schedule in results.schedules:
        tables = [table_of(results.scores, schedule.name, accel, "lam") for accel in ACCELERATIONS]
        same = np.allclose(tables[0], tables[-1], rtol=1e-5)
        for accel, table in zip(ACCELERATIONS, tables[:1] if same else tables, strict=False):
            by_seed = table.mean(1)
            rows.append([schedule.name + ("" if same else f", R = {accel}"), *(_spread(v) for v in by_seed.T)])
    count = len(rows[0]) - 1
    if count == len(NICKEL_TABLE_1) and all(schedule.name != "table1" for schedule in results.schedules):
        rows.append(["Nickel's Table 1", *(f"{v:g}" for v in NICKEL_TABLE_1)])
    return ["schedule", *(f"λ{n}" for n in range(1, count + 1))], rows


def _noise_rows(results: LambdaResults) -> Table:
    columns = ["schedule"]
    columns += [f"{name}, R = {accel}" for accel in ACCELERATIONS for name in ("x of the last iteration", "z", "λ")]
    rows = []
    for schedule in results.schedules:
        row = [schedule.name]
        for accel in ACCELERATIONS:
            gains = [g for g in results.gains if (g.schedule, g.accel) == (schedule.name, accel)]
            last = [g for g in gains if g.iteration == max(g.iteration for g in gains)]
            means = {
                name: float(np.mean([getattr(g, name) for g in last]))
                for name in ("x_median", "x_high", "z_median", "z_high", "lam")
            }
            row += ["{x_median:.2f} / {x_high:.2f}".format(**means), "{z_median:.2f} / {z_high:.2f}".format(**means)]
            row.append(f"{means['lam']:.2f}")
        rows.append(row)
    return columns, rows


def _score(results: LambdaResults, schedule: str, accel: int, measured: bool) -> str:
    psnr, ssim = (table_of(results.scores, schedule, accel, metric, measured) for metric in ("psnr", "ssim"))
    spread = f" ± {psnr.mean(1).std(ddof=1):.2f}" if len(psnr) > 1 else ""
    return f"{psnr.mean():.2f}{spread} / {ssim.mean():.4f}"


def _name(results: LambdaResults, schedule: str) -> str:
    several = sum(s.constant for s in results.schedules) > 1
    return f"{schedule} (best constant)" if several and schedule == results.best_constant else schedule


def _edge(results: LambdaResults) -> str:
    """A word where a better constant might lie beyond those that were tried."""
    constants = {s.name: float(s.lam) for s in results.schedules if s.constant}
    if len(constants) < 2 or results.best_constant is None:
        return ""
    value = constants[results.best_constant]
    if min(constants.values()) < value < max(constants.values()):
        return ""
    return f" The best constant, {value:g}, is at the edge of those that were tried: a better one may lie beyond."


def _interval(d: Difference, digits: int) -> str:
    if not np.isfinite(d.low):
        return f"{d.mean:+.{digits}f}"
    return f"{d.mean:+.{digits}f} [{d.low:+.{digits}f}, {d.high:+.{digits}f}]"


def _spread(by_seed: Sequence[float]) -> str:
    low, high = min(by_seed), max(by_seed)
    mean = f"{np.mean(by_seed):.2f}"
    return mean if f"{low:.2f}" == f"{high:.2f}" else f"{mean} ({low:.2f} - {high:.2f})"


def _csv(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in rows)
    return text.getvalue()
