"""A server with the contract of Hugging Face's Text Generation Inference (TGI).

For the models and machines that TGI doesn't serve: T5 and BART, CPUs, tests. The router half
(requests, rules, limits, batching, HTTP) knows nothing of models; behind `Engine` stand a light
engine on CTranslate2 and one on torch and transformers.

    async with TgiServer(ServerSettings(port=0)) as server:
        ...  # POST to f"{server.url}/generate"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.tgi.engine import Engine, EngineInfo, Generation, Job
from infra.tgi.errors import EngineError, StartError
from infra.tgi.settings import SMALL_MODEL, ServerSettings

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
