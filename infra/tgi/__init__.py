"""A server with the contract of Hugging Face's Text Generation Inference (TGI).

For the models and machines that TGI doesn't serve: T5 and BART, CPUs, tests. The router half
(requests, rules, limits, batching, HTTP) knows nothing of models; behind `Engine` stand a light
engine on CTranslate2 and one on torch and transformers.

    async with TgiServer(ServerSettings(port=0)) as server:
        ...  # POST to f"{server.url}/generate"
"""

from infra.tgi.engine import Engine, EngineInfo, Generation, Job
from infra.tgi.errors import EngineError, StartError
from infra.tgi.server import TgiServer, run, serve
from infra.tgi.settings import SMALL_MODEL, ServerSettings

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
