"""What the super-resolution benchmark gives: the paper's tables of methods and ablations, and what each costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kascade.benchmarks.superres_methods import ABLATION, CUBIC, PEERS
from kascade.benchmarks.superres_tests import CONSISTENT, GIVEN, SuperResRow
from kascade.benchmarks.tables import Table, gain_text, markdown_table, rows_csv, spread_text
from kascade.recon.superres.volume import LAM
from kascade.train.superres.recipe import SuperResolutionRecipe

__all__ = ["SuperResResults", "summary_table", "superres_csv", "superres_markdown"]


@dataclass(frozen=True, eq=False)
class SuperResResults:
    """Everything that was measured.

    Attributes
    ----------
    recipe : SuperResolutionRecipe
        As in the plan.
    seeds : tuple of int
    rows : dict
        Scores by method and seed; of "cubic" by seed 0.
    hours : dict
        Training time by method and seed.
    machine : str
    """

    recipe: SuperResolutionRecipe
    seeds: tuple[int, ...]
    rows: Mapping[str, Mapping[int, Sequence[SuperResRow]]]
    hours: dict[tuple[str, int], float]
    machine: str


def superres_csv(results: SuperResResults) -> str:
    """Every score as text of comma-separated values."""
    return rows_csv(SuperResRow, results.rows)


def summary_table(results: SuperResResults, output: str, names: Sequence[str] = ()) -> Table:
    """Scores of one output, mean and standard deviation over subjects (means over seeds), by method.

    "gain" is that in PSNR over cubic interpolation, as it is and made consistent, with the standard deviation between
    seeds.

    Parameters
    ----------
    results : SuperResResults
    output : str
        GIVEN or CONSISTENT.
    names : sequence of str
        Rows, where they were measured; all by default.
    """
    columns = ["method", "PSNR [dB]", "SSIM", "PSNR of images [dB]", "SSIM of images", "gain over cubic [dB]"]
    columns += ["over consistent cubic [dB]", "slices differ by [%]"]
    lines = []
    for name in _there(results, names):
        cells = [spread_text(_values(results, name, output, key), form) for key, form in _FORMS]
        gains = [_gain(results, name, output, CUBIC, other) for other in (GIVEN, CONSISTENT)]
        differs = 100 * np.mean(_values(results, name, output, "resimulation"))
        lines.append([name, *cells, *gains, f"{differs:.2g}"])
    return columns, lines


def ablation_table(results: SuperResResults) -> Table:
    """TransMRSR without its parts: PSNR and SSIM of both outputs, and the difference in PSNR from the whole network."""
    columns = ["network"]
    for output in (GIVEN, CONSISTENT):
        columns += [f"PSNR [dB], {output}", f"SSIM, {output}", f"difference [dB], {output}"]
    lines = []
    for name in _there(results, ABLATION):
        line = [name]
        for output in (GIVEN, CONSISTENT):
            line += [spread_text(_values(results, name, output, key), form) for key, form in _FORMS[:2]]
            line.append("-" if name == ABLATION[0] else _gain(results, name, output, ABLATION[0], output))
        lines.append(line)
    return columns, lines


def tissue_table(results: SuperResResults) -> Table:
    """Dice of tissues, each volume segmented on its own."""
    keys = ("dice_csf", "dice_gray", "dice_white", "dice_mean")
    columns = ["method", "output", "CSF", "gray matter", "white matter", "mean"]
    return columns, [
        [name, output, *(spread_text(_values(results, name, output, key), ".3f") for key in keys)]
        for name in results.rows
        for output in (GIVEN, CONSISTENT)
    ]


def cost_table(results: SuperResResults) -> Table:
    """Parameters, seconds of a volume, and hours of training."""
    columns = ["method", "parameters", "seconds of a volume", "made consistent", "seeds", "hours of each training"]
    lines = []
    for name, by_seed in results.rows.items():
        parameters = next(iter(by_seed.values()))[0].parameters
        seconds = [f"{np.mean(_values(results, name, output, 'seconds')):.1f}" for output in (GIVEN, CONSISTENT)]
        hours = [value for (method, _), value in results.hours.items() if method == name]
        trained = [str(len(hours)), f"{np.mean(hours):.2f}"] if hours else ["-", "-"]
        lines.append([name, f"{parameters / 1e6:.2f} M" if parameters else "-", *seconds, *trained])
    return columns, lines


def superres_markdown(results: SuperResResults) -> str:
    """All tables, with what they were measured on."""
    recipe, data = results.recipe, results.recipe.data
    subjects = {row.subject for row in results.rows[CUBIC][0]}
    loss, steps = recipe.loss, recipe.training.steps
    features = f", content {loss.content:g} and style {loss.style:g} ({loss.features.network})" if loss.features else ""
    text = [
        "# Super-resolution benchmark",
        "",
        f"{len(subjects)} test volumes that no training saw; slices across {data.axis}, {data.factor} x as thick as a "
        f"voxel, {data.profile} profile; {results.machine}.",
        "",
        f"Every network: {steps} steps of {recipe.training.batch} images of {data.size} x {data.size} px, the same in "
        f"the same order, learning rate {recipe.training.learning_rate:g}, losses L1 {loss.l1:g}{features}; nothing "
        f"stops early; seeds {', '.join(map(str, results.seeds))}. Sizes are such that a step of each takes "
        "about as long on a CPU. ± behind scores is over volumes, behind gains between seeds; scores of images are of "
        f"planes across the slices. Consistent: pulled back to the thick slices at lambda {LAM:g}.",
        "",
    ]
    sections = [
        ("As the network gives it (the paper's Table 1)", summary_table(results, GIVEN, PEERS)),
        ("Made consistent with the thick slices", summary_table(results, CONSISTENT, PEERS)),
        ("Ablation (Tables 3 to 5)", ablation_table(results)),
        ("Dice of tissues (Fig. 4)", tissue_table(results)),
        ("Cost", cost_table(results)),
    ]
    for title, table in sections:
        if table[1]:
            text += [f"## {title}", "", markdown_table(table), ""]
    return "\n".join(text)


_FORMS = (("psnr", ".2f"), ("ssim", ".4f"), ("psnr_slices", ".2f"), ("ssim_slices", ".4f"))


def _there(results: SuperResResults, names: Sequence[str]) -> list[str]:
    return [name for name in names or list(results.rows) if name in results.rows]


def _values(results: SuperResResults, name: str, output: str, key: str) -> list[list[float]]:
    """(seeds, subjects)."""
    return [[getattr(row, key) for row in rows if row.output == output] for rows in results.rows[name].values()]


def _gain(results: SuperResResults, name: str, output: str, other: str, other_output: str) -> str:
    """PSNR of a method over another's: means over subjects, paired by seed where the other was trained, too."""
    if (name, output) == (other, other_output) or other not in results.rows:
        return "-"
    mine, theirs = (
        [float(np.mean(v)) for v in _values(results, n, o, "psnr")] for n, o in ((name, output), (other, other_output))
    )
    return gain_text([a - b for a, b in zip(mine, theirs * (len(mine) // len(theirs)), strict=True)])
