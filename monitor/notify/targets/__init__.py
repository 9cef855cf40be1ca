"""The kinds of targets, and how one is made from its settings."""

from monitor.notify.settings import NotifySettings
from monitor.notify.target import Target
from runtime.clock import Clock


def make_target(settings: NotifySettings, *, clock: Clock) -> Target:
    """Make the target of these settings; it opens no connection yet.

    Raises:
        ModuleNotFoundError: `apprise` isn't installed (the extra `notify`).
    """
    if settings.kind == "alertmanager":
        from monitor.notify.targets.alertmanager import Alertmanager  # noqa: PLC0415

        return Alertmanager(settings, clock=clock)
    if settings.kind == "slack":
        from monitor.notify.targets.slack import Slack  # noqa: PLC0415

        return Slack(settings)
    if settings.kind == "webhook":
        from monitor.notify.targets.webhook import Webhook  # noqa: PLC0415

        return Webhook(settings, clock=clock)
    from monitor.notify.targets.apprise import Apprise  # noqa: PLC0415 - an extra

    return Apprise(settings)
