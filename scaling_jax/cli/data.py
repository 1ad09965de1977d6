"""`scaling-jax data`: the public tables of runs, listed and fetched."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import OmitSubcommandPrefixes, Positional, arg, subcommand

from scaling_jax.cli.options import OptionalPath, Switch
from scaling_jax.cli.show import print_json, print_table, progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class List:
    """The tables: what they hold and count, licence, paper, source."""

    json: Switch = False
    """Print one JSON object, with URLs and SHA-256."""

    def run(self) -> None:
        """Print the registry."""
        from scaling_jax.runs import PUBLIC  # noqa: PLC0415

        if self.json:
            print_json({name: _described(name) for name in PUBLIC})
            return
        rows = [
            (
                name,
                str(entry.rows),
                f"{entry.about}. N: {entry.params}. Loss: {entry.loss}.",
                entry.licence,
                f"{entry.paper}; {entry.source.split(' @ ')[0]}",
            )
            for name, entry in PUBLIC.items()
        ]
        columns = ("name", "rows", "runs", "licence", "source")
        print_table("Public tables of runs", columns, rows, numeric=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Get:
    """Fetch a table, check it, and write it as CSV."""

    name: Annotated[Positional[str], arg(metavar="NAME")]
    """One of `scaling-jax data list`."""
    out: OptionalPath = None
    """Where to write it (default: NAME.csv here)."""
    json: Switch = False
    """Print one JSON object."""

    def run(self) -> None:
        """Fetch, write, and say what it is."""
        from scaling_jax.runs import PUBLIC, write_table  # noqa: PLC0415
        from scaling_jax.runs import table as read_table  # noqa: PLC0415

        with progress() as stage:
            read = read_table(self.name, progress=stage("raw files"))
        path = self.out or Path(f"{self.name}.csv")
        write_table(read, path)
        if self.json:
            print_json({**_described(self.name), "columns": list(read), "out": str(path)})
            return
        entry = PUBLIC[self.name]
        print(f"{path}: {entry.rows} rows, {len(read)} columns; {entry.about}.")
        print(f"N: {entry.params}. Loss: {entry.loss}. Licence: {entry.licence}.")
        print(f"{entry.paper}; {entry.source}.")
        lacks = entry.lacks and f"`runs.load` refuses it, for {entry.lacks}"
        for words in filter(None, (entry.remark, lacks)):
            print(f"Beware: {words}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """Public tables of training runs: list them, or get one."""

    action: OmitSubcommandPrefixes[
        Annotated[List, subcommand("list")] | Annotated[Get, subcommand("get")]
    ]

    def run(self) -> None:
        """List or get."""
        self.action.run()


def _described(name: str) -> dict[str, object]:
    from scaling_jax.runs import PUBLIC  # noqa: PLC0415

    entry = PUBLIC[name]
    kept = ("about", "rows", "licence", "params", "loss", "paper", "source", "remark", "lacks")
    files = [{"url": url, "sha256": sha256} for url, sha256 in entry.urls.items()]
    return {**{field: getattr(entry, field) for field in kept}, "files": files}
