"""What the monitor documents of its log, it logs; and it logs nothing else."""

import ast
from pathlib import Path
from types import ModuleType

import monitor
from monitor.notify import log_events as notify_events
from monitor.page import log_events as page_events
from monitor.telemetry import log_events
from runtime.telemetry.log_events import LogEvents

ROOT = Path(monitor.__file__).parent
OWN = {"notify": notify_events, "page": page_events}


def test_every_event_that_is_logged_is_documented_and_every_documented_one_logged() -> None:
    logged: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        room = path.relative_to(ROOT).parts[0]
        own = OWN.get(room, log_events)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(value=ast.Name(id="log_events"), attr=name):
                    logged.setdefault(own.__name__, set()).add(getattr(own, name))
    for module in (log_events, notify_events, page_events):
        assert logged[module.__name__] == documented(module), module.__name__


def documented(module: ModuleType) -> set[str]:
    events: LogEvents | dict[str, str] = module.EVENTS
    return set(events.meanings if isinstance(events, LogEvents) else events)
