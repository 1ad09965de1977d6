"""The command `scaling-jax`: one file per subcommand.

The only place that prints, parses or sets global configuration. Nothing heavy is imported
until a subcommand runs.
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0; 1 for no such plan, or a run that diverged; 2 for bad usage; 130 after Ctrl-C.
    """
    try:
        import tyro  # noqa: PLC0415 (an extra)
    except ImportError:
        print("scaling-jax needs its extra: pip install 'scaling-jax[cli]'", file=sys.stderr)
        return 2

    from scaling_jax.cli.catalogues import Chips, Laws  # noqa: PLC0415 (needs the extra)
    from scaling_jax.cli.compare import Compare  # noqa: PLC0415
    from scaling_jax.cli.data import Data  # noqa: PLC0415
    from scaling_jax.cli.decide import Decide  # noqa: PLC0415
    from scaling_jax.cli.figures import Figures  # noqa: PLC0415
    from scaling_jax.cli.fit import Fit  # noqa: PLC0415
    from scaling_jax.cli.grid import Grid  # noqa: PLC0415
    from scaling_jax.cli.model import Model  # noqa: PLC0415
    from scaling_jax.cli.plan import Plan  # noqa: PLC0415
    from scaling_jax.cli.report import Report  # noqa: PLC0415
    from scaling_jax.cli.sweep import Sweep  # noqa: PLC0415
    from scaling_jax.cli.train import Train  # noqa: PLC0415

    command = tyro.cli(
        Plan
        | Fit
        | Compare
        | Grid
        | Decide
        | Report
        | Figures
        | Train
        | Sweep
        | Model
        | Data
        | Laws
        | Chips,
        prog="scaling-jax",
        description="Which language model to train, for how long, and what its life costs.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
    )
    return _run(command)


def _run(command: "object") -> int:
    try:
        command.run()  # pyright: ignore[reportAttributeAccessIssue]
    except KeyboardInterrupt as interrupt:
        print(f"scaling-jax: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 130
    except Exception as error:
        code = _told(error)
        if code is None:
            raise
        return code
    return 0


def _told(error: Exception) -> int | None:
    """Say in one sentence what was wrong, and return the exit code; None for a bug of ours."""
    from scaling_jax.cli.own_files import blame  # noqa: PLC0415
    from scaling_jax.planning import PlanError  # noqa: PLC0415

    said = blame(error)
    if said is None and isinstance(error, ModuleNotFoundError):
        said = f"{error}; pip install 'scaling-jax[all]'"
    elif said is None and isinstance(error, ValueError | OSError | ImportError):
        said = str(error)
    if said is None:
        return None
    print(f"scaling-jax: {said}", file=sys.stderr)
    return 1 if isinstance(error, PlanError) else 2
