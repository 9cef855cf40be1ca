"""One run: broker, model servers and consumers up, posts in, faults on the way, and the verdict."""

import asyncio
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from producer import BAD_INPUTS, Broker, LoadSettings, send_load
from producer.report import Report as Sent
from runtime.kafka.options import Guarantee
from runtime.kafka.producing import Delivery
from tests.faults import peace
from tests.faults.breakage import World
from tests.faults.cluster import NAMES, REMADE, Cluster
from tests.faults.crew import RSS_LIMIT_MB, Crew
from tests.faults.evidence import Evidence
from tests.faults.extras import Extras
from tests.faults.faults import FAULTS
from tests.faults.model_server import INFO, ModelServer
from tests.faults.plan import Fault, Log, Plan
from tests.faults.ports import Ports
from tests.faults.report import Done, Report, by_kind
from tests.faults.unread import Unreadable
from tests.faults.verdict import Verdict, judge

_SLOTS = 4
_STUCK_S = 240.0
"""For a fault to be injected and healed: longer than any takes that waits for the consumers."""
_REACHABLE_S = 60.0
"""For the broker to answer after its own fault before this one: it is slow on a loaded machine."""
_GROWTH_LIMIT_MB = 40.0
_PROGRESS_S = 15.0

Say = Callable[[str], None]


class Run:
    """A plan, carried out once."""

    def __init__(
        self,
        plan: Plan,
        log: Log,
        say: Say,
        *,
        mutant: str = "none",
        guarantee: Guarantee = "at-least-once",
    ) -> None:
        self._plan = plan
        self._log = log
        self._say = say
        self._mutant = mutant
        self._guarantee = guarantee
        self._done: list[Done] = []
        self._broken: dict[str, list[str]] = defaultdict(list)
        self._under_way: set[str] = set()
        self._starts: Sequence[peace.Start] = ()
        self._rss = (0.0, 0.0)
        """MB, most and growth, before the backlog."""

    async def __call__(self) -> Report:
        """Carry it out, however it goes; nothing is left running."""
        plan = self._plan
        folder = Path(tempfile.mkdtemp(prefix="emostream-faults-"))
        self._say(f"seed {plan.seed}: {len(plan.faults)} faults, {plan.posts} posts in {folder}")
        self._log.write(
            "plan", plan=plan, folder=str(folder), mutant=self._mutant, delivery=self._guarantee
        )
        began = time.monotonic()
        async with AsyncExitStack() as stack:
            ports = Ports()
            stack.callback(ports.close)
            cluster = Cluster(folder / "kafka", ports, proxies=_SLOTS, partitions=plan.partitions)
            stack.push_async_callback(cluster.stop)
            await cluster.start()
            servers = [ModelServer(ports.take(), seed=plan.seed + n) for n in range(2)]
            for server in servers:
                stack.push_async_callback(server.stop)
                await server.start()
            crew = Crew(
                folder,
                cluster.proxies,
                [server.url for server in servers],
                static=plan.static,
                mutant=self._mutant,
                guarantee=self._guarantee,
            )
            stack.push_async_callback(_end_all, crew)
            load = LoadSettings(
                topic=NAMES.posts,
                rate=plan.posts / plan.over_s,
                count=plan.posts,
                duplicates=0.1,
                bad_input=0.03,
                bad_kinds=tuple(bad.kind for bad in BAD_INPUTS),
                seed=plan.seed,
                # Longer than any fault keeps the broker away.
                delivery=Delivery(timeout_s=180),
            )
            extras = Extras(cluster.bootstrap, plan.seed)
            stack.push_async_callback(extras.stop)
            await extras.start()
            extras.life_begins(await cluster.topic_id(REMADE))
            evidence = Evidence(cluster.bootstrap, load, extras)
            world = World(cluster, crew, servers, extras, evidence.keep_letters)
            caught_up_s = await self._break_things(world, load)
            self._say("reading every topic whole")
            unreadable = Unreadable(INFO, set().union(*(one.misanswered for one in servers)))
            inputs = await evidence.inputs()
            verdict = judge(
                inputs,
                await evidence.outputs(),
                await evidence.commits(),
                finished=True,
                once=self._guarantee == "exactly-once",
                unread=lambda position: unreadable.of(evidence.texts.get(position)),
            )
            fairness = peace.fairness(extras, inputs, verdict)
            if fairness is not None and fairness.breach is not None:
                self._broken["unfair"].append(fairness.breach)
            self._broken["fuse"] += peace.fuse_breaches(
                extras, self._starts, verdict, exactly_once=self._guarantee == "exactly-once"
            )
            took_s = time.monotonic() - began
            report = self._report(verdict, world, caught_up_s, took_s, fairness)
        if report.ok:  # else its logs and topics are worth a look
            shutil.rmtree(folder)
        return report

    async def _break_things(self, world: World, load: LoadSettings) -> float | None:
        """Posts and faults, then peace; how long it took to catch up."""
        crew = world.crew
        crew.want(self._plan.members)
        watch = asyncio.create_task(crew.watch())
        tell = asyncio.create_task(self._tell(world))
        try:
            sending = asyncio.create_task(
                send_load(load, Broker(bootstrap=world.cluster.bootstrap))
            )
            await asyncio.gather(*(self._fault(world, fault) for fault in self._plan.faults))
            healed = time.monotonic()
            sent: Sent = await sending
            if sent.acked != self._plan.posts:
                self._broken["posts not written"].append(f"{sent.acked} of {self._plan.posts}")
            if not any(slot.wanted for slot in crew.slots):
                crew.want(1)
            since = max(healed, time.monotonic())
            caught_up_s = None
            if await peace.last_posts(world):
                caught_up_s = time.monotonic() - since
            self._rss = crew.rss()  # a backlog fills buffers that a trickle of posts leaves empty
            self._say("peace: a backlog beside a few posts, then the fuse")
            self._under_way.add("peace")
            slot = await peace.keep_one(world)
            await peace.backlog(world)
            self._starts = await peace.blow_the_fuse(world, slot)
        finally:
            tell.cancel()
            watch.cancel()
            await asyncio.gather(tell, watch, return_exceptions=True)
        if watch.done() and not watch.cancelled() and watch.exception() is not None:
            raise RuntimeError("the process manager failed") from watch.exception()
        await asyncio.gather(*(crew.stop(slot.member) for slot in crew.up() if slot.member))
        return caught_up_s

    async def _fault(self, world: World, fault: Fault) -> None:
        await asyncio.sleep(fault.at)
        breakage = FAULTS[fault.kind]
        async with world.alone(breakage.families):
            began = time.time()
            self._under_way.add(fault.kind)
            self._log.write("begin", number=fault.number, kind=fault.kind, at=began)
            try:
                async with asyncio.timeout(_STUCK_S):
                    if "broker" in breakage.families:  # whose own faults are over
                        await world.cluster.reachable(_REACHABLE_S)
                    await breakage.run(world, fault)
            except TimeoutError:
                self._broken["fault stuck"].append(fault.kind)
            except Exception as error:  # noqa: BLE001 - the run goes on, and isn't clean
                self._broken["fault failed"].append(f"{fault.kind}: {error!r}"[:500])
                world.crew.resting = False
            finally:
                self._under_way.discard(fault.kind)
            healed = time.time()
            self._done.append(Done(kind=fault.kind, began=began, healed=healed))
            self._log.write("healed", number=fault.number, kind=fault.kind, at=healed)

    async def _tell(self, world: World) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(_PROGRESS_S)
            committed = sum((await world.cluster.committed()).values())
            self._say(
                f"{time.monotonic() - began:5.0f} s: {len(self._done)} faults healed, "
                f"{committed or '?'} posts committed, "
                f"{len(world.crew.up())} members, "
                f"now: {', '.join(sorted(self._under_way)) or 'peace'}"
            )

    def _report(
        self,
        verdict: Verdict,
        world: World,
        caught_up_s: float | None,
        took_s: float,
        fairness: peace.Fairness | None,
    ) -> Report:
        crew = world.crew
        if caught_up_s is None:
            self._broken["lag stays"].append("not zero long after the last fault")
        peak, growth = crew.rss()[0], self._rss[1]
        if peak > RSS_LIMIT_MB or growth > _GROWTH_LIMIT_MB:
            self._broken["memory grows"].append(f"{peak:.0f} MB, {growth:+.0f} MB")
        self._broken["unforeseen end"] += crew.unforeseen
        tracebacks = crew.said("Traceback")
        if tracebacks:
            self._broken["traceback in a log"].append(f"{tracebacks} times, see {crew.folder}")
        if crew.said(f"load-{self._plan.seed}-") or crew.said(world.extras.prefix):
            self._broken["post in a log"].append(f"see {crew.folder}")
        counts = dict(verdict.counts)
        counts |= {promise: len(found) for promise, found in self._broken.items() if found}
        examples = {promise: found[:10] for promise, found in self._broken.items() if found}
        pauses = [(to - from_) / 1000 for from_, to in verdict.pauses]
        return Report(
            delivery=self._guarantee,
            seeds=(self._plan.seed,),
            faults=len(self._done),
            posts=verdict.posts,
            partitions=(self._plan.partitions,),
            took_s=round(took_s, 1),
            events=verdict.events,
            dead_letters=verdict.letters,
            both=verdict.both,
            skipped=verdict.skipped,
            uncommitted=verdict.uncommitted,
            fairness=() if fairness is None else (fairness,),
            notes=dict(world.notes),
            redelivered=verdict.redelivered,
            unanswered=verdict.unanswered,
            commits=verdict.commits,
            commits_back=verdict.went_back,
            lost=verdict.lost,
            breaches=counts,
            examples={**verdict.breaches, **examples},
            longest_pause_s=round(max(pauses, default=0.0), 2),
            longest_stop_s=round(crew.longest_stop_s, 2),
            caught_up_s=None if caught_up_s is None else round(caught_up_s, 2),
            rss_peak_mb=round(peak, 1),
            rss_growth_mb=round(growth, 1),
            processes=len(crew.started),
            ends=dict(crew.ended),
            tracebacks=tracebacks,
            by_kind=by_kind(self._done, verdict),
        )


async def _end_all(crew: Crew) -> None:
    for member in crew.started:
        if member.running:
            await crew.kill(member)
