"""Raw files from where they were published: fetched once, cached, and checked every time."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from scaling_jax._errors import Refusal

TIMEOUT = 30.0  # seconds without a byte
CONNECTIONS = 8

Progress = Callable[[int, int], None]


def fetch(urls: Mapping[str, str], progress: Progress | None = None) -> list[Path]:
    """Return where files lie on this machine, in their order.

    A file that is there with its checksum is not fetched again. A file is checked under a
    name of its own before it takes its place, so that one that is damaged or cut off never
    does, and that several processes may fetch the same one.

    Args:
        urls: SHA-256 by URL.
        progress: is called with how many files are there, and of how many.

    Raises:
        ValueError: a file is not the one that is known.
        ConnectionError: it cannot be had.
        ModuleNotFoundError: pooch is not installed.
    """
    pooch = _pooch()
    cache = Path(pooch.os_cache("scaling_jax"))
    paths = {url: cache / unquote(urlsplit(url).path).lstrip("/") for url in urls}
    with _quiet(pooch.get_logger()), ThreadPoolExecutor(CONNECTIONS) as pool:
        tasks = [
            pool.submit(_fetch_one, pooch, url, urls[url], path) for url, path in paths.items()
        ]
        try:
            for done, task in enumerate(as_completed(tasks), 1):
                task.result()
                if progress is not None:
                    progress(done, len(tasks))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return list(paths.values())


def _fetch_one(pooch: Any, url: str, sha256: str, path: Path) -> None:
    import requests  # noqa: PLC0415  # pooch's own

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{sha256}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
        )
    except requests.RequestException as error:
        raise ConnectionError(f"{url} cannot be fetched: {_reason(error)}") from None
    except ValueError:
        raise Refusal(
            f"{url} is not the file that is known, of SHA-256 {sha256}: it has changed, or "
            "was damaged on its way, and is not kept"
        ) from None


def _reason(error: Exception) -> str:
    """Return in words why a request failed, and let its connection go."""
    import requests  # noqa: PLC0415

    if isinstance(error, requests.HTTPError) and error.response is not None:
        error.response.close()  # its body was not read, and holds the connection
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer in {TIMEOUT:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off half-way"
    return "no connection"


def _pooch() -> Any:
    try:
        import pooch  # noqa: PLC0415  # an extra
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "fetching a public table needs pooch, of the extra scaling-jax[data]", name="pooch"
        ) from None
    return pooch


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch from printing a line per file."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
