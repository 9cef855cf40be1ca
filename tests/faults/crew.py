"""The consumers: real processes in slots, started again when they end, as by a process manager."""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from runtime.kafka.options import Guarantee
from tests.faults.proxy import Proxy
from tests.faults.slots import Member, Slot, configure

STOP_LIMIT_S = 30.0
"""From SIGTERM to the end: what Kubernetes gives."""
_LAST_BREATH_S = 20.0
"""From the error to the end of a process: its drain takes 10 s at most, its goodbyes a few."""
RSS_LIMIT_MB = 200.0
_GROWN_UP_S = 60.0
"""After this long a process has all its buffers; what it grows by later is a leak's."""


class Crew:
    """All slots. `watch` keeps the wanted ones filled."""

    def __init__(
        self,
        folder: Path,
        proxies: Sequence[Proxy],
        servers: Sequence[str],
        *,
        static: Sequence[int],
        mutant: str,
        guarantee: Guarantee,
    ) -> None:
        self.folder = folder
        self.clock = folder / "clock"
        self._mutant = mutant
        self.slots = [
            Slot(
                number,
                configure(
                    folder, number, proxy, servers, static=number in static, guarantee=guarantee
                ),
                proxy,
            )
            for number, proxy in enumerate(proxies)
        ]
        self.started: list[Member] = []
        self.ended: Counter[str] = Counter()
        """By who ended it and its exit status."""
        self.unforeseen: list[str] = []
        """Ends that no fault explains."""
        self.longest_stop_s = 0.0
        self._forgiven: dict[tuple[int, str], float] = {}
        """Exit status and error → until when (monotonic) a fault explains it."""
        self.resting = False
        """Nothing is started again: what stops them isn't repaired yet."""

    def forgive(self, status: int, seconds: float, *errors: type[Exception]) -> None:
        """Ends with this status and one of these errors are explained from now on for so long."""
        until = time.monotonic() + seconds
        for error in errors:
            name = error.__name__
            self._forgiven[status, name] = max(self._forgiven.get((status, name), 0.0), until)

    def repaired(self, status: int, error: type[Exception]) -> None:
        """What explained such ends is repaired: only a member that is about to end may end so."""
        self._forgiven[status, error.__name__] = time.monotonic() + _LAST_BREATH_S

    def up(self) -> list[Slot]:
        return [s for s in self.slots if s.member is not None and s.member.running and not s.held]

    @asynccontextmanager
    async def pick(self, target: int, *, ready: bool = True) -> AsyncIterator[Slot]:
        """Hold a slot with a running member: this one, or else the next that has one.

        So that a replay hits the same slots, as far as the machine lets it.
        """
        first = target % len(self.slots)
        while not (  # noqa: ASYNC110 - processes, looked at
            chosen := [
                slot
                for slot in self.slots[first:] + self.slots[:first]
                if slot in self.up() and (not ready or (slot.member and slot.member.ready))
            ]
        ):
            await asyncio.sleep(0.2)
        slot = chosen[0]
        slot.held = True
        try:
            yield slot
        finally:
            slot.held = False

    async def start(self, slot: Slot) -> Member:
        """Start a process in a slot. It may have one running already: then it has two."""
        name = f"{len(self.started):03}-slot{slot.number}"
        log, out = self.folder / f"{name}.log", self.folder / f"{name}.out"
        with log.open("wb") as stderr, out.open("wb") as stdout:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.faults.member", str(self.clock), self._mutant),
                *("consume", "--config", str(slot.config), "--exit-with-parent"),
                stdin=asyncio.subprocess.PIPE,  # ends with us: no process outlives the run
                stdout=stdout,
                stderr=stderr,
            )
        slot.member = Member(process, log, out)
        self.started.append(slot.member)
        return slot.member

    async def stop(self, member: Member, *, signals: int = 1) -> None:
        """SIGTERM, so many times, and hold the stop to its budget."""
        began = time.monotonic()
        ready = member.ready
        for _ in range(signals):
            member.signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
        try:
            status = await asyncio.wait_for(member.process.wait(), STOP_LIMIT_S + 15)
        except TimeoutError:
            member.signal(signal.SIGKILL)
            status = await member.process.wait()
        took = time.monotonic() - began
        self.longest_stop_s = max(self.longest_stop_s, took)
        self.ended[f"SIGTERM → {status}"] += 1
        if took > STOP_LIMIT_S:
            self.unforeseen.append(f"{member.log.name}: {took:.0f} s to stop")
        # One that hasn't set its signals up yet dies of SIGTERM, as any program; so does one that
        # gets it while it ends already, by a second one or by a fault.
        died = status == -signal.SIGTERM and (not ready or signals > 1 or self._failed(member))
        if status != 0 and not died and not self._explained(status, member):
            self.unforeseen.append(f"{member.log.name}: exit {status} after SIGTERM")

    async def empty(self, slot: Slot, *, signals: int = 1) -> None:
        """Stop the member of a slot."""
        member, slot.held = slot.member, True
        if member is not None:
            await self.stop(member, signals=signals)
        slot.member, slot.held = None, False

    async def kill(self, member: Member) -> None:
        """Kill -9."""
        member.signal(signal.SIGKILL)
        await member.process.wait()
        self.ended["kill -9"] += 1

    async def watch(self) -> None:
        """Fill wanted slots, as a process manager does, and look at everyone's memory."""
        turn = 0
        while True:
            for slot in self.slots:
                member = slot.member
                if member is not None and not slot.held and not member.running:
                    self.note_end(member)
                    slot.member = member = None
                    await asyncio.sleep(0.5)
                if slot.wanted and not slot.held and not self.resting and member is None:
                    await self.start(slot)
            if turn % 8 == 0:
                for member in self.started:
                    if member.running:
                        member.look()
            turn += 1
            await asyncio.sleep(0.25)

    def want(self, count: int) -> list[Slot]:
        """Want so many members; give the slots that are too many now."""
        for slot in self.slots:
            slot.wanted = slot.number < count
        return [slot for slot in self.slots if not slot.wanted and slot.member is not None]

    def rss(self) -> tuple[float, float]:
        """MB: the most of any process, and the most that a grown-up one grew by."""
        peak = max((mb for one in self.started for _, mb in one.rss_mb), default=0.0)
        growth = 0.0
        for one in self.started:
            later = [mb for age, mb in one.rss_mb if age >= _GROWN_UP_S]
            if later:
                growth = max(growth, later[-1] - later[0])
        return peak, growth

    def said(self, words: str) -> int:
        """How often something is in the members' logs."""
        return sum(
            member.log.read_text(encoding="utf-8", errors="replace").count(words)
            for member in self.started
        )

    def logged(self, event: str, **fields: object) -> bool:
        """Whether a member's log has this event with these fields."""
        for member in self.started:
            for line in member.log.read_text(encoding="utf-8", errors="replace").splitlines():
                if f'"{event}"' in line and line.endswith("}"):
                    said = msgspec.json.decode(line)
                    if said.get("event") == event and fields.items() <= said.items():
                        return True
        return False

    def note_end(self, member: Member, *, by: str = "by itself") -> None:
        """Count a member that ended without being told to, and see whether a fault explains it."""
        status = member.process.returncode
        assert status is not None
        self.ended[f"{by} → {status}"] += 1
        if not self._explained(status, member):
            last = member.log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
            self.unforeseen.append(f"{member.log.name}: exit {status}: {''.join(last)[:300]}")

    def _failed(self, member: Member) -> bool:
        """Whether it had ended by a fault, whatever its exit status became."""
        return any(self._explained(status, member) for status in (1, 2, 3))

    def _explained(self, status: int, member: Member) -> bool:
        error = member.error or ""
        return time.monotonic() < self._forgiven.get((status, error), 0.0)
