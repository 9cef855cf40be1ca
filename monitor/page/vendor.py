"""The charting library, uPlot (MIT): fetched from the npm registry when the project is installed.

It isn't committed. The build hook calls `fetch`, so that a wheel carries it; in a checkout,
`python -m monitor.page.vendor` does the same. The standard library only: this file is also read
where nothing is installed yet. `npm_config_registry` names another registry, as for npm, and
`https_proxy` a proxy.
"""

import base64
import hashlib
import io
import os
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_REGISTRY = "https://registry.npmjs.org"
_TRIES = 3  # a registry's hiccup is over within seconds
_TIMEOUT_S = 30
_MAX_BYTES = 16 << 20  # the largest archive fetched has 3 MB


class VendorError(Exception):
    """A package can't be had. The message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """Some files of one version of an npm package."""

    name: str
    version: str
    integrity: str
    """As the registry has it: `npm view NAME@VERSION dist.integrity`."""
    files: Mapping[str, str]
    """What is taken out of the archive: path to the SHA-256 of its bytes."""
    folder: Path
    """Where the files lie, without their folders."""

    def present(self) -> bool:
        """Whether all files are there, byte for byte."""
        return all(
            path.is_file() and _sha256(path.read_bytes()) == digest
            for member, digest in self.files.items()
            for path in (self.folder / PurePosixPath(member).name,)
        )

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


_UPLOT_FILES = {
    "dist/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "dist/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}
UPLOT = Package(
    name="uplot",
    version="1.6.32",
    integrity="sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbL"
    "gkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
    files=_UPLOT_FILES,
    folder=Path(__file__).parent / "static" / "vendor" / "uPlot",
)
HOW_TO_GET_IT = (
    "uPlot, which draws the page's charts, is missing or isn't the pinned version: run"
    " `python -m monitor.page.vendor` in the checkout (needs registry.npmjs.org, or the registry in"
    " npm_config_registry), or install a released wheel, which carries it"
)


def fetch(
    package: Package = UPLOT,
    environ: Mapping[str, str] = os.environ,
    *,
    pause_s: float = 1.0,
) -> bool:
    """Fetch what isn't there, and check it; False when all was there.

    Raises:
        VendorError: the registry can't be reached, or what it sent isn't what was pinned.
    """
    if package.present():
        return False
    found = unpack(package, _download(package, address(package, environ), pause_s))
    package.folder.mkdir(parents=True, exist_ok=True)
    for member, content in found.items():
        name = PurePosixPath(member).name
        partial = package.folder / f".{name}.{os.getpid()}"
        partial.write_bytes(content)
        partial.replace(package.folder / name)
    return True


def address(package: Package, environ: Mapping[str, str]) -> str:
    """Where the archive is, in the registry that npm would use."""
    registry = environ.get("npm_config_registry") or environ.get("NPM_CONFIG_REGISTRY") or _REGISTRY
    return f"{registry.rstrip('/')}/{package.name}/-/{package.name}-{package.version}.tgz"


def unpack(package: Package, archive: bytes) -> dict[str, bytes]:
    """The files in it.

    Raises:
        VendorError: it isn't the pinned archive, or a file in it isn't.
    """
    algorithm, _, expected = package.integrity.partition("-")
    got = base64.b64encode(hashlib.new(algorithm, archive).digest()).decode()
    if got != expected:
        raise VendorError(
            f"{package}: the registry sent something else than what is pinned"
            f" ({algorithm}-{got} instead of {package.integrity}); nothing of it was kept"
        )
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        for member, digest in package.files.items():
            content = files.extractfile(f"package/{member}")
            found[member] = content.read() if content else b""
            if _sha256(found[member]) != digest:
                raise VendorError(f"{package}: {member} isn't what is pinned")
    return found


def _download(package: Package, url: str, pause_s: float) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise VendorError("npm_config_registry must be an http or https address")
    for attempt in range(1, _TRIES + 1):
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - checked above
                return bytes(answer.read(_MAX_BYTES))
        except OSError as error:
            final = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if final or attempt == _TRIES:
                # Not the address: it may hold a password.
                raise VendorError(
                    f"can't fetch {package} from the npm registry: {error}; check the network, or"
                    " name a registry that is reachable in npm_config_registry"
                ) from None
        time.sleep(attempt * pause_s)
    raise AssertionError("unreachable")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    try:
        fetched = fetch()
    except VendorError as failure:
        sys.exit(f"error: {failure}")
    print(f"{UPLOT}: {'fetched' if fetched else 'is there already'}")  # noqa: T201
