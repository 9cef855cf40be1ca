"""Which servers take prompts: health checks, ejection and readmission."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from emollm.clients import events
from emollm.errors import (
    ModelError,
    Overloaded,
    Poison,
    Stop,
    Unavailable,
    WrongModel,
    WrongRequest,
)
from emollm.pool.advice import advice
from emollm.pool.observer import PoolObserver
from emollm.pool.options import PoolOptions
from emollm.pool.patient import PatientClient
from emollm.pool.upstream import Upstream
from emollm.protocol import GenerateParams, Generation, ModelClient, ServerInfo
from runtime.clock import Clock, sleep

EJECTED_DELAY_S = 60.0
"""A server that a human must repair is tried once a minute, for keys are renewed without notice."""
INFO_EVERY_S = 5.0
"""A server that takes prompts is asked so often what it serves: it may be restarted with another
model between two requests, and what that one answers is published under the old name until then.
One small GET; TGI answers it without its GPU."""
REPORT_EVERY_S = 60.0
"""What goes on being wrong is logged so often."""
SUSPECT_EVERY_S = 60.0
"""The canary isn't asked again sooner because of unreadable answers: some posts have no other."""
PROBE_TEXT = "How are you today?"
PROBE_PARAMS = GenerateParams(max_new_tokens=4)

Prove = Callable[[ModelClient], Awaitable[ModelError | None]]

_log = structlog.stdlib.get_logger(__name__)


class HealthListener(Protocol):
    """Who is told what becomes of the servers: the pool."""

    def server_ready(self) -> None:
        """A server takes prompts from now on."""

    def server_lost(self, upstream: Upstream) -> None:
        """A server's breaker opened."""

    def all_ejected(self, problem: Stop) -> None:
        """No server is left until a human acts."""

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> object:
        """Run something in the background until it ends or the pool does."""


class HealthChecks:
    """Takes servers out that fail, and readmits those that answer again."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        options: PoolOptions,
        listener: HealthListener,
        *,
        prove: Prove | None,
        observer: PoolObserver,
        clock: Clock,
        rand: Callable[[], float],
    ) -> None:
        """All servers begin with an open breaker: what isn't proven gets no prompts."""
        self._upstreams = upstreams
        self._options = options
        self._listener = listener
        self._prove_with = prove
        self._observer = observer
        self._clock = clock
        self._rand = rand
        self._suspected_at = -SUSPECT_EVERY_S
        self.info: ServerInfo | None = None
        """Of the model that they serve, once one of them is proven."""
        for upstream in upstreams:
            upstream.breaker.open(clock.monotonic())

    async def start(self) -> list[ModelError | None]:
        """Ask each server what it serves and have it proven; say what is wrong with each.

        Those that don't answer are probed from now on. Raises WrongModel for servers that
        disagree about the model, or one that fails its proof.
        """
        learned = await asyncio.gather(*map(self._learn, self._upstreams))
        reference = next((info for info in learned if isinstance(info, ServerInfo)), None)
        findings = [
            info if isinstance(info, ModelError) else _mismatch(upstream, info, reference)
            for upstream, info in zip(self._upstreams, learned, strict=True)
        ]
        proofs = await asyncio.gather(
            *(
                self._prove_unless(upstream, finding, patient=False)
                for upstream, finding in zip(self._upstreams, findings, strict=True)
            )
        )
        for finding in proofs:
            if isinstance(finding, WrongModel):
                raise finding
        for upstream, finding in zip(self._upstreams, proofs, strict=True):
            if finding is None:
                self.info = self.info or reference
                upstream.maybe_restarted = False
                self._admit(upstream)
                continue
            upstream.failing = finding
            if isinstance(finding, Stop):
                self._eject(upstream, finding)
            else:
                _log.warning(
                    events.SERVER_UNREACHABLE,
                    server=upstream.url,
                    reason=self._advice(finding),
                )
            self._readmit_later(upstream)
        self._listener.spawn(self._look_after())
        return list(proofs)

    # ---- asked by the pool

    async def ask_harmless(
        self, upstream: Upstream, params: GenerateParams = PROBE_PARAMS
    ) -> ModelError | None:
        """Ask a harmless prompt; None when it is answered."""
        assert upstream.client is not None
        answer = await upstream.client.generate(
            PROBE_TEXT, params, timeout_s=self._options.timeout_s
        )
        upstream.answered_last = isinstance(answer, Generation)
        if isinstance(answer, Generation):
            upstream.breaker.on_answer()
            return None
        if isinstance(answer, Poison):
            return WrongRequest(
                f"it refuses even a harmless prompt: {answer}",
                server=upstream.url,
                status=answer.status,
            )
        return answer

    def failed(self, upstream: Upstream, problem: ModelError) -> None:
        """Act on a harmless prompt that failed. A server that is only busy goes on."""
        if isinstance(problem, Stop):
            self._eject(upstream, problem)
        elif not isinstance(problem, Overloaded):
            self.open(upstream, problem)

    def open(self, upstream: Upstream, problem: ModelError) -> None:
        """Open a breaker: no prompts until the server answers one again."""
        if isinstance(problem, Unavailable):
            upstream.maybe_restarted = True
        if not upstream.breaker.closed:
            return
        upstream.breaker.open(self._clock.monotonic())
        upstream.failing = problem
        _log.warning(
            events.BREAKER_OPENED,
            server=upstream.url,
            error=type(problem).__name__,
            reason=self._advice(problem),
        )
        self._observer.on_breaker(upstream.url, upstream.breaker.state)
        self._readmit_later(upstream)
        self._listener.server_lost(upstream)

    def doubt(self, upstream: Upstream) -> None:
        """Find out with a harmless prompt whether a server is at fault, or one post."""
        if upstream.breaker.closed and not upstream.checking:
            upstream.checking = True
            self._listener.spawn(self._check(upstream))

    def suspect_model(self) -> None:
        """Take every server out until it has passed the canary again, at most once a minute."""
        now = self._clock.monotonic()
        if now - self._suspected_at < SUSPECT_EVERY_S:
            return
        self._suspected_at = now
        _log.warning(events.MODEL_SUSPECTED)
        for upstream in self._upstreams:
            upstream.maybe_restarted = True
            self.open(upstream, Unavailable("its answers can't be read", server=upstream.url))

    # ---- in the background

    async def _check(self, upstream: Upstream) -> None:
        problem = await self.ask_harmless(upstream)
        upstream.checking = False
        if problem is not None:
            self.failed(upstream, problem)

    def _readmit_later(self, upstream: Upstream) -> None:
        if not upstream.probing:
            upstream.probing = True
            self._listener.spawn(self._readmit(upstream))

    async def _readmit(self, upstream: Upstream) -> None:
        """Probe a server until it answers."""
        while True:
            ejected = upstream.ejected is not None
            await sleep(self._clock, EJECTED_DELAY_S if ejected else upstream.breaker.delay())
            upstream.breaker.probe()
            self._observer.on_breaker(upstream.url, upstream.breaker.state)
            problem = await self._examine(upstream)
            if problem is None:
                upstream.ejected = None
                if upstream.maybe_restarted:
                    continue  # that came up while it was examined: it may be another by now
                upstream.probing = False
                self._admit(upstream)
                return
            upstream.breaker.open(self._clock.monotonic())
            upstream.failing = problem
            self._observer.on_breaker(upstream.url, upstream.breaker.state)
            if isinstance(problem, Stop):
                self._eject(upstream, problem)
            else:
                upstream.ejected = None
            if isinstance(problem, Unavailable):
                upstream.maybe_restarted = True

    async def _examine(self, upstream: Upstream) -> ModelError | None:
        """Ask a server what it serves, and have it proven if it may have come back as another."""
        info = await self._learn(upstream)
        if isinstance(info, ModelError):
            return info
        mismatch = _mismatch(upstream, info, self.info)
        if mismatch is None and not upstream.maybe_restarted:
            return await self.ask_harmless(upstream)
        # Before the canary is asked: if it is suspected again meanwhile, that counts for the next.
        upstream.maybe_restarted = False
        problem = await self._prove_unless(upstream, mismatch, patient=True)
        if problem is None:  # another server's model may have become the one in use meanwhile
            problem = _mismatch(upstream, info, self.info)
        if problem is not None:
            upstream.maybe_restarted = True
        elif self.info is None:
            self.info = info
        return problem

    async def _learn(self, upstream: Upstream) -> ServerInfo | ModelError:
        """Connect, where that is still to be done, and ask what it serves."""
        if upstream.client is None:
            client = await upstream.connect()
            if isinstance(client, ModelError):
                return client
            upstream.client = client
        info = await upstream.client.info(timeout_s=self._options.info_timeout_s)
        if isinstance(info, ServerInfo):
            upstream.fit(info)
        return info

    async def _prove_unless(
        self, upstream: Upstream, finding: ModelError | None, *, patient: bool
    ) -> ModelError | None:
        """Prove a server, unless something is known to be wrong with it.

        `patient`: wait for its answers while it is full of others' work.
        """
        if finding is not None:
            return finding
        assert upstream.client is not None
        if self._prove_with is None:
            return await self.ask_harmless(upstream)
        if not patient:
            return await self._prove_with(upstream.client)

        def busy(error: Overloaded) -> None:
            upstream.failing = error

        client = PatientClient(upstream.client, self._clock, self._rand, busy)
        return await self._prove_with(client)

    def _eject(self, upstream: Upstream, problem: Stop) -> None:
        """Take a server out until a human has repaired it."""
        if upstream.ejected is None:
            _log.error(
                events.SERVER_OUT,
                server=upstream.url,
                error=type(problem).__name__,
                reason=self._advice(problem),
            )
        upstream.ejected = problem
        self.open(upstream, problem)
        if all(other.ejected is not None for other in self._upstreams):
            self._listener.all_ejected(problem)

    def _advice(self, problem: ModelError) -> str:
        return advice(problem, self._options.section)

    def _admit(self, upstream: Upstream) -> None:
        """Let a server take prompts."""
        upstream.breaker.close(self._clock.monotonic())
        upstream.failing = None
        upstream.refusals = 0
        limit = upstream.limiter.limit
        event = events.BREAKER_CLOSED if upstream.admitted else events.SERVER_CONNECTED
        upstream.admitted = True
        _log.info(event, server=upstream.url, limit=limit)
        self._observer.on_breaker(upstream.url, upstream.breaker.state)
        self._observer.on_limit(upstream.url, limit)
        self._listener.server_ready()

    async def _look_after(self) -> None:
        """Ask servers what they serve now and then, and repeat what is wrong with them."""
        report_at = self._clock.monotonic() + REPORT_EVERY_S
        while True:
            await sleep(self._clock, INFO_EVERY_S * (0.75 + self._rand() / 2))
            await asyncio.gather(*map(self._look_again, self._upstreams))
            if self._clock.monotonic() >= report_at:
                report_at = self._clock.monotonic() + REPORT_EVERY_S
                for upstream in self._upstreams:
                    _report(upstream, self._options.section)

    async def _look_again(self, upstream: Upstream) -> None:
        """Notice that a server has another model than before. No answer means nothing here."""
        if not upstream.breaker.closed or upstream.client is None:
            return
        info = await upstream.client.info(timeout_s=self._options.info_timeout_s)
        if not isinstance(info, ServerInfo) or not upstream.breaker.closed:
            return
        problem = _mismatch(upstream, info, self.info)
        if problem is not None:
            _log.error(events.MODEL_CHANGED, server=upstream.url, reason=str(problem))
            self._eject(upstream, problem)


def _report(upstream: Upstream, section: str) -> None:
    """Repeat what is wrong with a server, in its own words."""
    state = upstream.state(section)
    if not upstream.breaker.closed:
        _log.warning(events.SERVER_STILL_OUT, server=upstream.url, reason=state.problem)
    elif upstream.validation_refused:
        _log.warning(
            events.PROMPTS_REFUSED,
            server=upstream.url,
            prompts=upstream.validation_refused,
            reason=state.problem,
        )
    upstream.reported_refused, upstream.validation_refused = upstream.validation_refused, 0


def _mismatch(upstream: Upstream, info: ServerInfo, other: ServerInfo | None) -> WrongModel | None:
    """Whether a server serves another model than the others. Unknown revisions agree."""
    if other is None:
        return None
    known = None not in (info.model_revision, other.model_revision)
    if info.model_id == other.model_id and (
        info.model_revision == other.model_revision or not known
    ):
        return None
    return WrongModel(
        f"{upstream.url} serves {_model(info)}, and the model in use is {_model(other)}",
        server=upstream.url,
    )


def _model(info: ServerInfo) -> str:
    return f"{info.model_id}@{info.model_revision}" if info.model_revision else info.model_id
