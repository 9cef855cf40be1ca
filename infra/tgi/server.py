"""The server: engine, queue and HTTP put together, started and stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any, Self

import structlog
from aiohttp import web

from infra.tgi.engine import Engine, EngineInfo
from infra.tgi.engines.loading import load_engine
from infra.tgi.errors import StartError
from infra.tgi.events import ServerEvent
from infra.tgi.router.batcher import Batcher
from infra.tgi.router.completions import Completions
from infra.tgi.router.connections import BoundedServer, ConnectionLimits
from infra.tgi.router.handlers import Handlers
from infra.tgi.router.http import HttpRouter, make_request
from infra.tgi.router.infer import Infer, Permits
from infra.tgi.router.metrics import Metrics
from infra.tgi.router.responses import CompletionBodies, json_response, text_response
from infra.tgi.router.validation import Limits
from infra.tgi.router.validation_workers import ValidationWorkers
from infra.tgi.settings import (
    ServerSettings,
    TokenLimits,
    connection_limit,
    read_api_key,
    token_limits,
)
from runtime.background import watched_callbacks

_log = structlog.get_logger(__name__)

#: What clients look for to know TGI's dialect, and the version whose answers are kept to.
ROUTER = "text-generation-router"
VERSION = "3.3.6-dev0"
_LABEL = "emostream"
_ONE_PRESS_S = 0.5
"""A launcher passes on the signal that a terminal sends to all: two within this are one."""


class TgiServer:
    """A TGI-compatible server on the running event loop.

    `start` loads the model and listens; `url` is then where. `stop` refuses new connections,
    answers what is in flight and frees the model. `engine` takes the place of the one that the
    settings name.
    """

    def __init__(
        self, settings: ServerSettings | None = None, *, engine: Engine | None = None
    ) -> None:
        self.settings = settings or ServerSettings()
        self.metrics = Metrics()
        self._engine = engine
        self._owns_engine = engine is None
        self._runner: web.ServerRunner | None = None
        self._site: web.TCPSite | None = None
        self._http: HttpRouter | None = None
        self._batcher: Batcher | None = None
        self._validation_workers: ValidationWorkers | None = None
        self._port = self.settings.port

    @property
    def url(self) -> str:
        """Where it listens, as `http://127.0.0.1:3000`."""
        host = self.settings.hostname
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self._port}"

    @property
    def draining(self) -> bool:
        """Whether it takes no new connections any more."""
        return self._site is None

    @property
    def info(self) -> dict[str, Any]:
        """The body of /info."""
        assert self._engine is not None
        engine = self._engine.info
        return self._info(engine, token_limits(self.settings, engine))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Load the model and listen. Raises `StartError`."""
        started = time.perf_counter()
        settings = self.settings
        api_key = read_api_key(settings)
        if self._engine is None:
            self._engine = await asyncio.to_thread(_load, settings)
        engine = self._engine
        limits = token_limits(settings, engine.info)
        if limits.max_input_tokens > engine.info.max_input_tokens:
            _log.warning(
                ServerEvent.LIMIT_BEYOND_MODEL,
                max_input_tokens=limits.max_input_tokens,
                model_max_input_tokens=engine.info.max_input_tokens,
            )
        self._http = self._routes(engine, limits, api_key)
        server = BoundedServer(
            self._http,
            ConnectionLimits(
                connections=connection_limit(settings),
                head_seconds=settings.header_seconds,
                idle_seconds=settings.idle_seconds,
            ),
            request_factory=make_request,
            access_log=None,
            auto_decompress=False,  # TGI takes no compressed bodies: they are bad JSON
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        # The backlog holds what a burst of twice the permits brings in one turn of the loop.
        self._site = web.TCPSite(self._runner, settings.hostname, settings.port, backlog=1024)
        try:
            await self._site.start()
        except OSError as error:
            await self.stop()
            raise StartError(
                f"can't listen on {settings.hostname}:{settings.port}: {error.strerror}; "
                "--port 0 takes a free one"
            ) from error
        self._port = self._runner.addresses[0][1]
        _log.info(
            ServerEvent.READY,
            url=self.url,
            model=engine.info.model_id,
            engine=type(engine).__name__,
            seconds=round(time.perf_counter() - started, 3),
        )

    async def stop(self) -> None:
        """Refuse new connections, answer those in flight (`shutdown_seconds`), free the model."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        if self._runner is not None:
            if self._runner.server is not None:
                self._runner.server.pre_shutdown()  # connections without a request
            answered = True
            if self._http is not None:
                answered = await self._http.drain(self.settings.shutdown_seconds)
            await self._runner.cleanup()
            self._runner = None
            _log.info(ServerEvent.STOPPED, all_answered=answered)
        if self._validation_workers is not None:
            self._validation_workers.close()
        if self._batcher is not None:
            await asyncio.to_thread(self._batcher.close)
            self._batcher = None
        if self._engine is not None and self._owns_engine:
            self._engine.close()
            self._engine = None

    def _routes(self, engine: Engine, tokens: TokenLimits, api_key: str | None) -> HttpRouter:
        settings, metrics, info = self.settings, self.metrics, engine.info
        self._batcher = Batcher(
            engine,
            metrics,
            max_prompts=settings.max_batch_size or info.batch_size,
            max_tokens=settings.max_batch_prefill_tokens,
        )
        self._validation_workers = ValidationWorkers(engine, workers=settings.validation_workers)
        infer = Infer(
            engine,
            batcher=self._batcher,
            workers=self._validation_workers,
            permits=Permits(settings.max_concurrent_requests),
            tokenize_permits=Permits(settings.max_concurrent_requests),
            limits=Limits(
                max_best_of=settings.max_best_of,
                max_stop_sequences=settings.max_stop_sequences,
                max_top_n_tokens=settings.max_top_n_tokens,
                max_input_tokens=tokens.max_input_tokens,
                max_total_tokens=tokens.max_total_tokens,
                capacity=info.max_input_tokens,
                grammar=not settings.disable_grammar_support and info.supports_grammar,
            ),
            metrics=metrics,
        )
        compute_type = f"{info.device}+optimized"
        completions = Completions(
            infer,
            CompletionBodies(info.model_id, f"{VERSION}-{_LABEL}"),
            metrics,
            max_prompts=settings.max_client_batch_size,
            compute_type=compute_type,
        )
        # As TGI: text-generation models put the prompt before the answer on POST /.
        full_text = info.pipeline_tag in {None, "text-generation"}
        post = Handlers(infer, completions, compute_type=compute_type, full_text=full_text)
        model = {"id": info.model_id, "object": "model", "created": 0, "owned_by": info.model_id}
        about = self._info(info, tokens)
        return HttpRouter(
            get={
                "/": post.health,
                "/health": post.health,
                "/ping": post.health,
                "/info": lambda: json_response(about),
                "/v1/models": lambda: json_response({"object": "list", "data": [model]}),
                "/metrics": lambda: text_response(metrics.text()),
            },
            keyed={
                "/": post.compat,
                "/generate": post.generate,
                "/generate_stream": post.generate_stream,
                "/v1/completions": post.completions,
                "/v1/chat/completions": post.chat,
                "/vertex": post.vertex,
                "/invocations": post.invocations,
                "/tokenize": post.tokenize,
            },
            free={"/chat_tokenize": post.chat_tokenize},
            api_key=api_key,
            cors_allow_origin=settings.cors_allow_origin,
            body_seconds=settings.body_seconds,
        )

    def _info(self, engine: EngineInfo, tokens: TokenLimits) -> dict[str, Any]:
        settings = self.settings
        return {
            "model_id": engine.model_id,
            "model_sha": engine.model_sha,
            "model_pipeline_tag": engine.pipeline_tag,
            "max_concurrent_requests": settings.max_concurrent_requests,
            "max_best_of": settings.max_best_of,
            "max_stop_sequences": settings.max_stop_sequences,
            "max_input_tokens": tokens.max_input_tokens,
            "max_total_tokens": tokens.max_total_tokens,
            "validation_workers": settings.validation_workers,
            "max_client_batch_size": settings.max_client_batch_size,
            "router": ROUTER,
            "version": VERSION,
            "sha": None,
            "docker_label": _LABEL,
            # Ours alone: TGI's clients look past what they don't know.
            **({"emostream": dict(engine.asked)} if engine.asked else {}),
        }


def _load(settings: ServerSettings) -> Engine:
    """The engine that the settings name. Raises `StartError`."""
    if not settings.replay:
        if settings.replay_model is not None:
            raise StartError("--replay-model needs --replay FILE, the recorded answers")
        return load_engine(
            settings.model_id,
            engine=settings.engine,
            revision=settings.revision,
            dtype=settings.dtype,
            device=settings.device,
            threads=settings.threads,
        )
    if settings.model_id is not None:
        raise StartError("--replay answers from a file, --model-id from a model: give one of them")
    from infra.tgi.engines.replay import ReplayEngine  # noqa: PLC0415 - only where it is used

    return ReplayEngine.load(settings.replay, model=settings.replay_model)


def run(settings: ServerSettings, *, on_ready: Callable[[TgiServer], None] | None = None) -> None:
    """`serve` on an event loop of its own: uvloop's where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        asyncio.run(serve(settings, on_ready=on_ready))
    else:
        uvloop.run(serve(settings, on_ready=on_ready))


class StopSignals:
    """What SIGTERM and SIGINT do: the first calls `stop`, a later one ends the process at once.

    So does one before it is `ready`: a model may take minutes to be fetched and loaded, in a
    thread that can't be stopped, and nothing is in flight.
    """

    def __init__(
        self,
        stop: Callable[[], None],
        *,
        now: Callable[[], float] = time.monotonic,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self.ready = False
        self._stop = stop
        self._now = now
        self._end = end
        self._first_at: float | None = None

    def on_signal(self, number: int) -> None:
        """Take one; the exit status is 128 and its number, as shells report it."""
        if not self.ready:
            self._end(128 + number)
        elif self._first_at is None:
            self._first_at = self._now()
            self._stop()
        elif self._now() - self._first_at > _ONE_PRESS_S:
            self._end(128 + number)


async def serve(
    settings: ServerSettings,
    *,
    on_ready: Callable[[TgiServer], None] | None = None,
    engine: Engine | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` is called once, when requests are answered.

    The first signal refuses new connections and answers those in flight; a second one, or one
    before it is ready, ends the process at once. Raises `StartError` when it can't start, and what
    a callback of the queue raises: asyncio would only log it, and requests would hang while
    `/health` says 200.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    signals = StopSignals(stopping.set)
    crashed: list[BaseException] = []
    server = TgiServer(settings, engine=engine)

    def crash(error: BaseException) -> None:
        crashed.append(error)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.on_signal, number)
    try:
        with watched_callbacks(crash):
            await server.start()
            signals.ready = True
            if on_ready is not None:
                on_ready(server)
            await stopping.wait()
        if crashed:
            _log.error(ServerEvent.CRASHED, error=type(crashed[0]).__name__)
            raise crashed[0]
    finally:
        try:
            await server.stop()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
