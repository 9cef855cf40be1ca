"""Telling people: transitions of alerts, to Alertmanager, Slack, webhooks or anything of apprise.

    notifier = Notifier(targets, clock=SystemClock(), is_muted=mutes.covers)
    handed_over = notifier.offer(alert)     # a future: done when every target has it, or gave it up
    await notifier.aclose(within_s=5)

`feed` gives each record of `affect.alerts` to it, as a consumer group of its own, and commits an
offset when its future is done: a restart neither forgets a notification nor repeats those that were
delivered.

    message     what a person is told, without a post's text unless that was asked for
    notifier    grouping by track, rate limit, retries, what could not be delivered
    targets/    how each kind of target is spoken to
"""

from monitor.notify.notifier import Notifier
from monitor.notify.settings import NotifySettings
from monitor.notify.target import Target, TargetFault

__all__ = ["Notifier", "NotifySettings", "Target", "TargetFault"]
