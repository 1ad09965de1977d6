"""What `train` and `sweep` share: the corpus, several processes, and the progress bar."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from scaling_jax.cli.options import OptionalPath, Switch

if TYPE_CHECKING:
    from scaling_jax.training import Corpus, PlannedRun, Progress


OptionalText = Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="")]
OptionalInt = Annotated[int | None, arg(metavar="INT", help_behavior_hint="")]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorpusOptions:
    """What is trained on."""

    corpus: str = "stdlib"
    """A file or folder of text, .jsonl, a token file, a prepared corpus, or stdlib: the Python
    sources of this interpreter and its packages."""
    tokenizer: str = "bytes"
    """How text becomes tokens: bytes, or bpe:SIZE, trained on the corpus."""

    heldout: float = 0.01
    """Share of the documents that is never trained on, for the final loss."""
    corpus_dtype: OptionalText = None
    """Type of the ids in a .bin file, such as uint16."""

    def open(self, out: Path) -> "Corpus":
        """Return the corpus, prepared in the folder `out`/corpus unless it already is."""
        from scaling_jax.training import prepare  # noqa: PLC0415

        return prepare(
            self.corpus, out / "corpus", tokenizer=self.tokenizer, heldout=self.heldout,
            dtype=self.corpus_dtype,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """Several processes, one run."""

    distributed: Switch = False
    """Join the other processes of this job; SLURM, MPI, TPU pods and GKE are recognised."""
    coordinator: str = ""
    """HOST:PORT of process 0, where the cluster cannot be found out."""
    processes: int = 1
    """With --coordinator: how many there are."""
    process: int = 0
    """With --coordinator: which one this is."""

    def start(self, cache: OptionalPath = None) -> None:
        """Set JAX up for training: join the job, keep compiled programs from run to run."""
        self._check()
        import jax  # noqa: PLC0415

        if cache is not None:
            jax.config.update("jax_compilation_cache_dir", str(cache.absolute()))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        if self.coordinator:
            jax.distributed.initialize(self.coordinator, self.processes, self.process)
        elif self.distributed:
            try:
                jax.distributed.initialize()
            except ValueError as error:
                raise ValueError(
                    f"--distributed finds no cluster here ({error}); give --coordinator, "
                    f"--processes and --process"
                ) from error

    def _check(self) -> None:
        """Refuse options that do not say where the other processes are."""
        if not self.coordinator:
            if (self.processes, self.process) != (1, 0):
                raise ValueError("--processes and --process need --coordinator")
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(
                f"--coordinator is {self.coordinator!r}; it must be HOST:PORT, such as "
                f"node0:1234"
            )
        if not 0 <= self.process < self.processes:
            raise ValueError(
                f"--process is {self.process} and --processes {self.processes}; it must be "
                f"in [0, {self.processes})"
            )


@contextlib.contextmanager
def training_bar(
    runs: int = 1,
) -> Iterator[tuple[Callable[["PlannedRun"], None], Callable[["Progress"], None]]]:
    """Show on a terminal's standard error the run, its loss, tokens/s, MFU and time left.

    Yields what to call when a run starts and when it has got further.
    """
    from rich import progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (
        *progress.Progress.get_default_columns(),
        progress.TextColumn("{task.fields[now]}"),
    )
    bar = progress.Progress(*columns, console=console, disable=not console.is_terminal)
    with bar:
        whole = bar.add_task("runs", total=runs, now="", visible=runs > 1)
        task = bar.add_task("training", total=None, now="")
        begun = 0

        def started(run: "PlannedRun") -> None:
            nonlocal begun
            bar.update(whole, completed=begun)
            begun += 1
            bar.reset(task, description=run.name, total=run.config.steps, now="")

        def moved(at: "Progress") -> None:
            now = f"loss {at.loss:.4f}  {at.tokens_per_second:,.0f} tokens/s  MFU {at.mfu:.1%}"
            bar.update(task, completed=at.step, total=at.steps, now=now)

        yield started, moved
