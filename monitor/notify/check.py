"""`emostream monitor notify --test`: one made-up notification to every target, tried once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from monitor.notify.message import compose
from monitor.notify.settings import NotifySettings
from monitor.notify.target import Target, TargetFault
from runtime.clock import Clock
from schemas.alert import Alert


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one target made of it."""

    target: str
    kind: str
    delivered: bool
    reason: str | None = None
    """Why not; never holds its address."""


async def try_targets(
    targets: Sequence[tuple[Target, NotifySettings]], *, clock: Clock, page_url: str = ""
) -> list[Outcome]:
    """Tell each target that this is a test; close them afterwards."""
    outcomes: list[Outcome] = []
    for target, settings in targets:
        reason: str | None = None
        try:
            await target.deliver(compose([made_up(clock)], page_url=page_url))
        except TargetFault as fault:
            reason = str(fault)
        finally:
            await target.aclose()
        outcomes.append(
            Outcome(
                target=settings.name, kind=settings.kind, delivered=reason is None, reason=reason
            )
        )
    return outcomes


def made_up(clock: Clock) -> Alert:
    """An alert that says of itself that it is a test, and resolves nothing."""
    now = datetime.fromtimestamp(int(clock.wall()), UTC)
    return Alert(
        version=1,
        id=f"test-{int(now.timestamp())}",
        alert_id=f"test-{int(now.timestamp())}",
        track="test",
        transition="firing",
        measure="negative_share",
        severity="info",
        observed=0.62,
        expected=0.31,
        started_at=now - timedelta(minutes=6),
        fired_at=now,
        at=now,
        posts=212,
        negative_posts=131,
        authors=97,
        note="This is a test of emostream's notifications; nothing has happened.",
    )
