"""A server with the contract of Hugging Face's Text Generation Inference (TGI).

For the models and machines that TGI doesn't serve: T5 and BART, CPUs, tests. Two rooms with one
protocol between them, `Engine`:

    router/   requests, rules, limits, batching, metrics, HTTP; knows nothing of models
    engines/  a light engine on CTranslate2, and one on torch and transformers

    async with TgiServer(ServerSettings(port=0)) as server:
        ...  # POST to f"{server.url}/generate"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.tgi.engine import Engine, EngineInfo, Generation, Job
from infra.tgi.engines.loading import SMALL_MODEL
from infra.tgi.errors import EngineError, StartError
from infra.tgi.settings import ServerSettings

if TYPE_CHECKING:
    from infra.tgi.server import TgiServer, run, serve

__all__ = [
    "SMALL_MODEL",
    "Engine",
    "EngineError",
    "EngineInfo",
    "Generation",
    "Job",
    "ServerSettings",
    "StartError",
    "TgiServer",
    "run",
    "serve",
]


def __getattr__(name: str) -> Any:
    """The server's own names, imported when asked for: the settings alone need no aiohttp."""
    if name in {"TgiServer", "run", "serve"}:
        from infra.tgi import server  # noqa: PLC0415

        return getattr(server, name)
    raise AttributeError(name)
