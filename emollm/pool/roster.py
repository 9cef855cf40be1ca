"""Which servers take prompts: found at start, lost by failures, won back by an answered prompt."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

import msgspec
import structlog

from emollm.clients import events
from emollm.errors import ModelError, Poison, Stop, WrongModel, WrongRequest
from emollm.pool.clock import Clock
from emollm.pool.lane import Lane
from emollm.pool.observer import PoolObserver
from emollm.protocol import GenerateParams, Generation, ModelClient, ServerInfo

OUT_DELAY_S = 60.0
"""A server that a human must mend is tried once a minute, for keys are renewed without notice."""
PROBE_TEXT = "How are you today?"
PROBE_PARAMS = GenerateParams(max_new_tokens=4)

Prove = Callable[[ModelClient], Awaitable[ModelError | None]]

_log = structlog.stdlib.get_logger(__name__)


class PoolOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a pool asks its servers."""

    timeout_s: float = 30.0
    """Seconds one request may take, queueing on the server included; probes, too."""
    info_timeout_s: float = 10.0
    """Seconds a server may take to say what it serves."""
    max_concurrency: int = 128
    """Requests in flight to one server at most; the limit adapts below it and below `/info`'s."""
    padded: bool = False
    """Send prompts of like length together: for servers that pad batches (OPT, T5, BART)."""
    same_model: bool = True
    """Refuse servers that name another model or revision than the first one does."""


class RosterOwner(Protocol):
    """Who is told what becomes of the servers: the pool."""

    def server_ready(self) -> None:
        """A server takes prompts from now on."""

    def server_lost(self, lane: Lane) -> None:
        """A server's breaker opened."""

    def all_out(self, problem: Stop) -> None:
        """No server is left until a human acts."""

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> object:
        """Run something in the background until it ends or the pool does."""


class Roster:
    """The servers of a pool and their ups and downs."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        options: PoolOptions,
        owner: RosterOwner,
        *,
        prove: Prove | None,
        observer: PoolObserver,
        clock: Clock,
    ) -> None:
        """All servers begin with an open breaker: what isn't proven gets no prompts."""
        self._lanes = lanes
        self._options = options
        self._owner = owner
        self._prove_with = prove
        self._observer = observer
        self._clock = clock
        self.info: ServerInfo | None = None
        """Of the model that they serve, once one of them is proven."""
        for lane in lanes:
            lane.breaker.open(clock.monotonic())

    async def start(self) -> list[ModelError | None]:
        """Ask each server what it serves and have it proven; say what is wrong with each.

        Those that don't answer are probed from now on. Raises WrongModel for servers that
        disagree about the model, or one that fails its proof.
        """
        learned = await asyncio.gather(*(self._learn(lane) for lane in self._lanes))
        reference = next((info for info in learned if isinstance(info, ServerInfo)), None)
        findings = [
            info if isinstance(info, ModelError) else self._mismatch(lane, info, reference)
            for lane, info in zip(self._lanes, learned, strict=True)
        ]
        proofs = await asyncio.gather(
            *(
                self._unless(lane, finding)
                for lane, finding in zip(self._lanes, findings, strict=True)
            )
        )
        for finding in proofs:
            if isinstance(finding, WrongModel):
                raise finding
        for lane, finding in zip(self._lanes, proofs, strict=True):
            if finding is None:
                self.info = self.info or reference
                self._admit(lane)
                continue
            if isinstance(finding, Stop):
                self._expel(lane, finding)
            else:
                _log.warning(events.SERVER_UNREACHABLE, server=lane.url, reason=str(finding))
            self._owner.spawn(self._probe_back(lane))
        return list(proofs)

    async def probe(self, lane: Lane, params: GenerateParams = PROBE_PARAMS) -> ModelError | None:
        """Ask a harmless prompt; None when it is answered."""
        assert lane.client is not None
        answer = await lane.client.generate(PROBE_TEXT, params, timeout_s=self._options.timeout_s)
        lane.answered_last = isinstance(answer, Generation)
        if isinstance(answer, Generation):
            lane.breaker.on_answer()
            return None
        if isinstance(answer, Poison):
            return WrongRequest(
                f"it refuses even a harmless prompt: {answer}",
                server=lane.url,
                status=answer.status,
            )
        return answer

    def blame(self, lane: Lane, problem: ModelError) -> None:
        """Act on what a server said to a probe: no prompts for now, or until it is mended."""
        if isinstance(problem, Stop):
            self._expel(lane, problem)
        else:
            self._suspend(lane, problem)

    def _suspend(self, lane: Lane, problem: ModelError) -> None:
        if lane.breaker.closed:
            lane.breaker.open(self._clock.monotonic())
            self.opened(lane, problem)

    def opened(self, lane: Lane, problem: ModelError) -> None:
        """Act on a breaker that opened: no prompts until the server answers one again."""
        _log.warning(
            events.BREAKER_OPENED,
            server=lane.url,
            error=type(problem).__name__,
            reason=str(problem),
        )
        self._observer.on_breaker(lane.url, lane.breaker.state)
        self._owner.spawn(self._probe_back(lane))
        self._owner.server_lost(lane)

    def _expel(self, lane: Lane, problem: Stop) -> None:
        """Take a server out until it is mended."""
        if lane.out is None:
            _log.error(
                events.SERVER_OUT,
                server=lane.url,
                error=type(problem).__name__,
                reason=str(problem),
            )
        lane.out = problem
        self._suspend(lane, problem)
        if all(other.out is not None for other in self._lanes):
            self._owner.all_out(problem)

    async def _probe_back(self, lane: Lane) -> None:
        """Probe a server until it answers."""
        while True:
            delay = OUT_DELAY_S if lane.out is not None else lane.breaker.delay()
            await self._clock.sleep(delay)
            lane.breaker.probe()
            self._observer.on_breaker(lane.url, lane.breaker.state)
            problem = await self._examine(lane)
            if problem is None:
                self._admit(lane)
                return
            lane.breaker.open(self._clock.monotonic())
            self._observer.on_breaker(lane.url, lane.breaker.state)
            if isinstance(problem, Stop):
                self._expel(lane, problem)
            else:
                lane.out = None

    async def _examine(self, lane: Lane) -> ModelError | None:
        """Ask a server what it serves, and have it proven: it may have come back as another."""
        info = await self._learn(lane)
        if isinstance(info, ModelError):
            return info
        problem = await self._unless(lane, self._mismatch(lane, info, self.info))
        if problem is None and self.info is None:
            self.info = info
        return problem

    async def _learn(self, lane: Lane) -> ServerInfo | ModelError:
        """Connect, where that is still to be done, and ask what it serves."""
        if lane.client is None:
            client = await lane.connect()
            if isinstance(client, ModelError):
                return client
            lane.client = client
        info = await lane.client.info(timeout_s=self._options.info_timeout_s)
        if isinstance(info, ServerInfo):
            lane.fit(info)
        return info

    async def _unless(self, lane: Lane, finding: ModelError | None) -> ModelError | None:
        """Prove a server, unless something is known to be wrong with it."""
        if finding is not None:
            return finding
        assert lane.client is not None
        if self._prove_with is None:
            return await self.probe(lane)
        return await self._prove_with(lane.client)

    def _mismatch(
        self, lane: Lane, info: ServerInfo, other: ServerInfo | None
    ) -> ModelError | None:
        """Whether a server serves another model than the others. Unknown revisions agree."""
        if other is None or not self._options.same_model:
            return None
        known = None not in (info.model_revision, other.model_revision)
        if info.model_id == other.model_id and (
            info.model_revision == other.model_revision or not known
        ):
            return None
        return WrongModel(
            f"{lane.url} serves {_model(info)}, the other model servers {_model(other)}",
            server=lane.url,
        )

    def _admit(self, lane: Lane) -> None:
        """Let a server take prompts."""
        lane.breaker.close(self._clock.monotonic())
        lane.out = None
        lane.refusals = 0
        limit = lane.limiter.limit
        event = events.BREAKER_CLOSED if lane.admitted else events.SERVER_CONNECTED
        lane.admitted = True
        _log.info(event, server=lane.url, limit=limit)
        self._observer.on_breaker(lane.url, lane.breaker.state)
        self._observer.on_limit(lane.url, limit)
        self._owner.server_ready()


def _model(info: ServerInfo) -> str:
    return f"{info.model_id}@{info.model_revision}" if info.model_revision else info.model_id
