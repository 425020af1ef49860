"""`kascade bench`: measurements on the user's own machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kascade.cli import console
from kascade.cli.options import Debug, Device, Force, Quiet
from kascade.errors import ConfigError

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def root() -> None:
    """Measure speed and quality on this machine, beside other packages.

    [bold]Examples[/bold]

    kascade bench speed

    kascade bench quality -o q/

    kascade bench lambda -o lam/

    kascade bench motion -o m/

    kascade bench restore -o restored/

    kascade bench superres -o sr/
    """


@app.command()
def speed(
    case: Annotated[
        list[str] | None,
        typer.Option(
            "--case",
            metavar="NAME",
            help="gram-columns, gram-2d, sense, sense-1e-4, espirit, wavelet, model, train-step, import or help; on a "
            "GPU also gram-batch, sense-batch, dc-batch and cascade; may be given again. (default: all)",
        ),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            "--peer",
            metavar="NAME",
            help="mrpro, bart, sigpy, fastmri-style, cg-autograd, fastmri or networks; on a GPU also kascade-torch "
            "(without our kernels) and copy (the floor); may be given again. "
            "(default: all)",
        ),
    ] = None,
    size: Annotated[
        str, typer.Option("--size", metavar="CxRxC", help="Coils, rows and columns of k-space.")
    ] = "15x640x368",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Turns of each package.")] = 5,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of each package. (default: its own choice)")
    ] = None,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Time operators and reconstructions, ours and those of other packages.

    Packages take turns in one run, so that ratios hold whatever else the
    machine does. Those that are not installed are named as missing:
    pip install 'kascade[benchmarks]' brings MRpro; BART comes from the system.

    [bold]Examples[/bold]

    kascade bench speed

    kascade bench speed --case sense --case espirit --repeats 9
    """
    from kascade.benchmarks.speed import format_table, machine, run, to_json, turns

    try:
        coils, rows, columns = (int(part) for part in size.split("x"))
    except ValueError as error:
        raise ConfigError(f"--size {size}: expected coils x rows x columns, such as 15x640x368") from error
    with console.progress() as bar:
        told = bar.narrator(turns(case, repeats, peer, device))
        measured = run(case, coils, rows, columns, repeats, device, told, peers=peer, threads=threads)
    if as_json:
        console.result_json(to_json(measured, device))
        return
    facts = machine(device)
    console.result(f"{size} on {facts['processor']}, {facts['cores']} cores, Python {facts['python']}")
    console.result(f"{facts['gpu']}\n" if "gpu" in facts else "")
    console.result(format_table(measured))


@app.command()
def quality(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of tables and figures.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            envvar="KASCADE_DATA",
            help="Measured data: kspace/full.cfl, kspace/gre_32ch.npy, ... (docs/quality.md names them). "
            "Without it: simulated scans only.",
        ),
    ] = None,
    subject: Annotated[
        list[Path] | None,
        typer.Option(
            "--subject",
            metavar="FILE",
            help="NIfTI volume that no model was trained on, to simulate scans of; may be given again.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="FILE|NAME",
            help="Trained model; may be given again. (default: those that came with Kascade)",
        ),
    ] = None,
    case: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="NAME", help="Such as phantom-r4; may be given again. (default: all)"),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare zero-filled, SENSE, wavelet, TV, BART and trained models.

    On measured k-space and on simulated scans, at R = 3 to 8. Classical
    methods count at their best weight for each slice, models as they are.
    Writes quality.csv, quality.md and a figure CASE.png for each case:
    reference, images, errors 5 x brighter.

    [bold]Examples[/bold]

    kascade bench quality -o q/

    kascade bench quality -o q/ --model runs/x/best.safetensors --case phantom-r4
    """
    from kascade.benchmarks.quality_report import quality_table
    from kascade.benchmarks.quality_run import plan_quality, run_quality

    plan = plan_quality(data, subject or [], model or [], case or [])
    for line in plan.notes:
        console.note(line)
    with console.progress() as bar:
        results = run_quality(plan, output, force, bar.narrator(plan.steps))
    for problem in (problem for result in results for problem in result.problems):
        console.warn(problem)
    columns, lines = quality_table(results)
    if lines:
        console.table(columns, lines)
    console.note(f"{output / 'quality.md'}, and a figure for each case in {output}")


@app.command("lambda")
def schedules(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of everything.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            envvar="KASCADE_DATA",
            help="Training images (folders as in the recipe) and kspace/full.cfl. Without it: phantom heads only.",
        ),
    ] = None,
    schedule: Annotated[
        list[str] | None,
        typer.Option(
            "--schedule",
            metavar="NAME|NUMBER",
            help="tied, predicted, table1, geometric, or a constant lambda; may be given again. learned is always "
            "there. (default: all, and 1, 2.5 and 6)",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each schedule.")] = 3,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Steps of each training, instead of the recipe's.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE", help="What all trainings share. (default: lambda-benchmark.yaml)"),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare learned and fixed lambda schedules on one budget.

    Trains one small cascade for each schedule and seed, up to ten minutes
    each, and tests all on heads that none has seen. May be stopped at any
    time: the same command goes on. Writes lambda.md, tables and figures, with
    the sweep of plain SENSE over lambda; trainings lie in runs/. --force
    replaces tables, figures and trainings by another recipe, no others.

    [bold]Examples[/bold]

    kascade bench lambda -o lam/ --data DATA

    kascade bench lambda -o lam/ --schedule tied --schedule 2.5 --seeds 1
    """
    from kascade.benchmarks.lambda_schedules_report import difference_rows, score_rows
    from kascade.benchmarks.lambda_schedules_run import plan_lambda, run_lambda

    plan = plan_lambda(data, schedule or [], seeds, steps, recipe)
    for line in plan.notes:
        console.note(line)
    with console.progress() as bar:
        results = run_lambda(plan, output, force, bar.narrator(plan.steps), console.note)
    console.table(*score_rows(results))
    if len(results.schedules) > 1:
        console.table(*difference_rows(results))
    console.note(f"{output / 'lambda.md'}, tables and figures in {output}")


@app.command()
def motion(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of tables and figure.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            envvar="KASCADE_DATA",
            help="Measured data: kspace/full.cfl. Without it: simulated heads only.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Heads whose motion is estimated.")] = 10,
    known_seeds: Annotated[
        int, typer.Option("--known-seeds", min=1, help="Heads of each severity and order with known motion.")
    ] = 3,
    size: Annotated[int, typer.Option("--size", min=48, help="Rows and columns of the simulated images.")] = 256,
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="NAME", help="sense (lambda 2), wavelet, tv or unrolled.")
    ] = "sense",
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure reconstruction of heads that move between shots.

    Images at rest, with motion ignored, known, and estimated from the data; 8
    coils, SNR 30, 8 to 16 shots, up to 5 px and 5 degrees. Heads are moved on
    a grid twice as fine. Writes motion.csv, motion.md and motion.png.

    [bold]Example[/bold]

    kascade bench motion -o m/
    """
    from kascade.benchmarks.motion import plan_motion
    from kascade.benchmarks.motion_report import motion_tables, write_motion

    plan = plan_motion(data, seeds, known_seeds, size, method)
    for line in plan.notes:
        console.note(line)
    with console.progress() as bar:
        rows = write_motion(plan, output, force, bar.narrator(len(plan.cases)))
    for heading, columns, lines in motion_tables(rows):
        console.note(heading)
        console.table(columns, lines)
    console.note(f"{output / 'motion.md'}, motion.csv and motion.png")


@app.command()
def restore(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of everything.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", envvar="KASCADE_DATA", help="Where the recipes' folders are."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME",
            help="SRGAN, pix2pix, HINet, ResViT, Restormer, '+ cyclic' or '+ cyclic + CAG'; may be given again. "
            "(default: all)",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each method.")] = 3,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Steps of each network, instead of the recipe's.")
    ] = None,
    slices: Annotated[int, typer.Option("--slices", min=1, help="Tested of each subject.")] = 3,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE", help="What the networks share. (default: cag-cyclic.yaml)"),
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option("--classifier", metavar="FILE", help="Recipe of the classifier. (default: cag-classifier.yaml)"),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare networks that restore degraded images, on one budget.

    Trains each network with each seed on the recipe's examples, and tests all
    on subjects that none has seen: by degradation and severity, with the
    ablation of CAG. May be stopped at any time: the same command goes on.
    Hours on a CPU; fewer --seeds and --steps for a first look.

    [bold]Examples[/bold]

    kascade bench restore -o restored/ --data DATA

    kascade bench restore -o restored/ --data DATA --method Restormer --method '+ cyclic + CAG' --seeds 1 --steps 300
    """
    from kascade.benchmarks.restore_report import summary_table
    from kascade.benchmarks.restore_run import plan_restore, run_restore

    plan = plan_restore(data, method or [], seeds, steps, slices, recipe, classifier)
    with console.progress() as bar:
        results = run_restore(plan, output, force, bar.narrator(plan.steps), console.note)
    console.table(*summary_table(results, [name for name in results.rows if name != "degraded"]))
    console.note(f"{output / 'restore.md'}, scores and figures in {output}")


@app.command()
def superres(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of everything.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", envvar="KASCADE_DATA", help="Where the recipe's folders are."),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME",
            help="EDSR, SwinIR, Restormer, TransMRSR, 'no prior', 'no truncation', 'no multi-resolution features', "
            "'no skip' or 'frozen prior'; may be given again. cubic is always there. (default: all)",
        ),
    ] = None,
    factor: Annotated[
        int | None, typer.Option("--factor", min=2, help="Distance of slices in voxels. (default: the recipe's, 4)")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each network.")] = 3,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Steps of each training, instead of the recipe's.")
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="FILE", help="What the networks share. (default: transmrsr.yaml)"),
    ] = None,
    subjects: Annotated[
        int | None, typer.Option("--subjects", min=1, help="How many of the test subjects. (default: all)")
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare networks that sharpen thick slices, on one budget.

    Trains each network with each seed on the recipe's examples, and tests all
    on volumes that none has seen: as they are and made consistent with the
    slices, with the ablation of TransMRSR. Writes superres.md, scores.csv and
    examples.png. May be stopped at any time: the same command goes on. Days
    on a CPU; fewer --seeds and --steps for a first look. TransMRSR begins from
    a generator and losses need a classifier: docs/superres.md trains them.

    [bold]Examples[/bold]

    kascade bench superres -o sr/ --data DATA

    kascade bench superres -o sr/ --data DATA --method EDSR --seeds 1 --steps 300

    kascade bench superres -o cubic8/ --data DATA --method cubic --factor 8
    """
    from kascade.benchmarks.superres_report import summary_table
    from kascade.benchmarks.superres_run import plan_superres, run_superres
    from kascade.benchmarks.superres_tests import CONSISTENT, GIVEN

    plan = plan_superres(data, method or [], seeds, steps, factor, subjects, recipe)
    with console.progress() as bar:
        results = run_superres(plan, output, force, bar.narrator(plan.steps), console.note)
    for kind in (GIVEN, CONSISTENT):
        console.note(f"{kind}:")
        console.table(*summary_table(results, kind))
    console.note(f"{output / 'superres.md'}, scores and figure in {output}")
