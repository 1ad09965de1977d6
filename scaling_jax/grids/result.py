"""What `grid` returns: values with the axes that label them."""

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray

_ROWS_AT_ONCE = 2**20


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Values at every point of a product of axes.

    Attributes:
        axes: name -> coordinates [n], in the order of the dimensions.
        values: name -> array of the grid's shape; a NumPy array, or a Zarr array where the
            grid was streamed to disk.
        units: axis or value -> its unit, such as nats/token; a name may be without one.
    """

    axes: dict[str, np.ndarray]
    values: dict[str, Any]
    units: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(len(each) for each in self.axes.values())

    def __getitem__(self, name: str) -> Any:
        """Return one of the values."""
        if name not in self.values:
            labels = f"; {name} is an axis, in `axes`" if name in self.axes else ""
            raise KeyError(
                f"no value is called {name!r}; there are {', '.join(self.values)}{labels}"
            )
        return self.values[name]

    def sel(self, **coordinates: float) -> "Grid":
        """Return the values at the points of the named axes that are nearest; those axes go.

        Nearest is the least ratio on an axis whose points are more evenly spaced in their
        logarithms, as those of `1:100:3:log` are, and the least difference on any other.

        Raises:
            ValueError: no such axis, or a coordinate beyond its ends.

        Example:
            >>> import scaling_jax as sj
            >>> values = sj.grid(lambda x: x, {"x": "1:100:3:log"})
            >>> values.sel(x=5.0)["value"].item()  # 2 times from 10, 5 times from 1
            10.0
        """
        index: list[Any] = [slice(None)] * len(self.axes)
        for name, wanted in coordinates.items():
            if name not in self.axes:
                raise ValueError(
                    f"no axis is called {name!r}; there are {', '.join(self.axes)}"
                )
            index[list(self.axes).index(name)] = _nearest(name, self.axes[name], wanted)
        left = {name: each for name, each in self.axes.items() if name not in coordinates}
        values = {name: each[tuple(index)] for name, each in self.values.items()}
        return Grid(axes=left, values=values, units=self.units)

    def columns(self) -> dict[str, np.ndarray]:
        """Return a column per axis and per value, a row per point, the last axis fastest."""
        return self._rows(0, self.shape[0] if self.axes else 1)

    def to_xarray(self) -> "xarray.Dataset":
        """Return an `xarray.Dataset`, in memory.

        Raises:
            ImportError: xarray is not installed.
        """
        try:
            import xarray  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise ImportError(
                "Grid.to_xarray needs xarray: pip install 'scaling-jax[grid]'"
            ) from error
        attributes = {name: {"units": unit} for name, unit in self.units.items()}
        values = {
            name: (tuple(self.axes), np.asarray(each[...]), attributes.get(name))
            for name, each in self.values.items()
        }
        coordinates = {
            name: ((name,), each, attributes.get(name)) for name, each in self.axes.items()
        }
        return xarray.Dataset(values, coords=coordinates)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write a Parquet table: a row per point, a column per axis and per value.

        Units are in the metadata of the columns, under `units`.

        Raises:
            ImportError: pyarrow is not installed.
        """
        try:
            import pyarrow as pa  # noqa: PLC0415 (an extra)
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError as error:
            raise ImportError(
                "Grid.to_parquet needs pyarrow: pip install 'scaling-jax[grid]'"
            ) from error
        lead = self.shape[0] if self.axes else 1
        rest = int(np.prod(self.shape[1:]))
        step = max(1, _ROWS_AT_ONCE // rest)
        writer = None
        for start in range(0, lead, step):
            columns = self._rows(start, min(start + step, lead))
            table = pa.table(columns, schema=self._schema(columns))
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()

    def _schema(self, columns: dict[str, np.ndarray]) -> Any:
        import pyarrow as pa  # noqa: PLC0415 (an extra)

        fields = []
        for name, column in columns.items():
            unit = self.units.get(name)
            metadata = None if unit is None else {"units": unit}
            fields.append(pa.field(name, pa.from_numpy_dtype(column.dtype), metadata=metadata))
        return pa.schema(fields)

    def _rows(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """Return the columns of the points whose first coordinate is in a range."""
        coordinates = [each.ravel() for each in self.axes.values()]
        if coordinates:
            coordinates[0] = coordinates[0][start:stop]
        columns = np.meshgrid(*coordinates, indexing="ij")
        named = dict(zip(self.axes, columns, strict=True))
        for name, each in self.values.items():
            named[name] = np.asarray(each[start:stop] if self.axes else each)
        return {name: np.ravel(column) for name, column in named.items()}


def _nearest(name: str, points: np.ndarray, wanted: float) -> int:
    low, high = points.min(), points.max()
    # What was asked for may have been rounded to the dtype of the axis.
    slack = 4 * np.finfo(np.result_type(points, np.float32)).eps
    if not low - slack * abs(low) <= wanted <= high + slack * abs(high):
        raise ValueError(f"{name} is {wanted:g}, and the axis runs from {low:g} to {high:g}")
    if _is_logarithmic(points):
        return int(np.argmin(np.abs(np.log(points) - np.log(wanted))))
    return int(np.argmin(np.abs(points - wanted)))


def _is_logarithmic(points: np.ndarray) -> bool:
    """Return whether the steps between the points vary less as ratios than as differences."""
    if not 0 < points.min() < points.max():
        return False
    steps, ratios = (np.diff(np.sort(x)) for x in (points, np.log(points)))
    return bool(np.ptp(ratios) / ratios.mean() < np.ptp(steps) / steps.mean())
