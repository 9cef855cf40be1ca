"""`emostream schemas check` and `register`: our subjects in a schema registry."""

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from emostream.connection import Connection
from emostream.exits import FAILED, WRONG_USAGE, CommandError
from emostream.interrupt import run
from emostream.logs import quiet_logs

if TYPE_CHECKING:
    from runtime.registry.checking import SubjectState
    from runtime.registry.client import RegistryClient
    from runtime.registry.writing import Subject

    Act = Callable[[RegistryClient, Subject], Awaitable[SubjectState]]

AsJson = Annotated[bool, Parameter(name="--json")]


def check(*, connection: Connection = Connection(), json_: AsJson = False) -> int:
    """Compare this version's schemas with the registry's; changes nothing.

    Looks at the subjects of events, windows, alerts and mutes, as `[registry]` names them. Exit
    status 0 when each is registered or may be registered next, else 1.

    **Examples**

    ```
    emostream schemas check --config emostream.toml
    emostream schemas check --json | jq '.[] | select(.state != "registered")'
    ```

    Args:
        json_: One JSON list instead of lines.
    """
    from runtime.registry.checking import check_subject

    return _each(connection, check_subject, as_json=json_, good={"registered", "compatible"})


def register(*, connection: Connection = Connection(), json_: AsJson = False) -> int:
    """Register this version's schemas, those that aren't yet, and print their ids.

    A registry that keeps rules of compatibility refuses what breaks them. Exit status 1 when it
    refused one; the others are registered all the same.

    **Examples**

    ```
    emostream schemas register --config emostream.toml
    ```

    Args:
        json_: One JSON list instead of lines.
    """
    from runtime.registry.checking import register_subject

    return _each(connection, register_subject, as_json=json_, good={"registered"})


def _each(connection: Connection, act: "Act", *, as_json: bool, good: set[str]) -> int:
    quiet_logs("error")
    import msgspec

    from monitor.registry import read_topics
    from runtime.registry.checking import describe
    from runtime.registry.client import RegistryClient
    from runtime.registry.writing import subjects

    settings = connection.monitor_settings()
    if not settings.registry.format:
        raise CommandError(
            "topics are plain JSON: set registry.urls and registry.format, then there is something"
            " to register (docs/schema-registry.md)",
            status=WRONG_USAGE,
        )
    client = RegistryClient(settings.registry)

    async def look() -> "list[SubjectState]":
        wanted = subjects(settings.registry, read_topics(settings))
        return [await act(client, subject) for subject in wanted]

    found = run(look())
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        sys.stdout.writelines(f"{one.subject}: {describe(one)}\n" for one in found)
    return 0 if all(one.state in good for one in found) else FAILED
