"""Our subjects as a registry has them: what is there, what fits, and putting it there."""

from typing import Literal

import msgspec

from runtime.registry.client import RegistryClient
from runtime.registry.errors import Incompatible, NotRegistered
from runtime.registry.writing import Subject

State = Literal["registered", "compatible", "incompatible", "missing"]


class SubjectState(msgspec.Struct, frozen=True, kw_only=True):
    """How a subject is, compared with this version's schema."""

    subject: str
    topic: str
    state: State
    """This very schema is registered; another one is and this may follow it, or may not; none is.
    """
    id: int | None = None
    """Of this schema, where it is registered."""
    version: int | None = None
    """Of the subject: this schema's where it is registered, else the latest."""
    latest: bool = True
    """Whether that is the subject's latest version."""


async def check_subject(client: RegistryClient, subject: Subject) -> SubjectState:
    """Compare one subject; changes nothing.

    Raises:
        RegistryUnavailable, RegistryDenied: the registry gives no answer, or refuses us.
    """
    try:
        latest = await client.latest(subject.name)
    except NotRegistered:
        return SubjectState(subject=subject.name, topic=subject.topic, state="missing")
    try:
        found = await client.look_up(subject.name, subject.schema())
    except NotRegistered:
        fits = await _fits(client, subject)
        return SubjectState(
            subject=subject.name,
            topic=subject.topic,
            state="compatible" if fits else "incompatible",
            version=latest.version,
        )
    return SubjectState(
        subject=subject.name,
        topic=subject.topic,
        state="registered",
        id=found.schema_id,
        version=found.version,
        latest=found.version == latest.version,
    )


async def register_subject(client: RegistryClient, subject: Subject) -> SubjectState:
    """Register this version's schema, unless it is registered.

    Raises:
        RegistryUnavailable, RegistryDenied: the registry gives no answer, or refuses us.
    """
    try:
        await client.register(subject.name, subject.schema())
    except Incompatible:
        return SubjectState(subject=subject.name, topic=subject.topic, state="incompatible")
    return await check_subject(client, subject)


async def _fits(client: RegistryClient, subject: Subject) -> bool:
    try:
        return await client.compatible(subject.name, subject.schema())
    except Incompatible:  # not even a valid schema to that registry
        return False


def describe(found: SubjectState) -> str:
    """One subject in words, with what to do where it isn't registered."""
    match found.state:
        case "registered":
            later = "" if found.latest else "; a later version is the latest one"
            return f"registered: version {found.version}, id {found.id}{later}"
        case "compatible":
            return (
                f"version {found.version} is another schema; this version's may follow it:"
                " emostream schemas register"
            )
        case "incompatible":
            return (
                "this version's schema breaks the subject's compatibility rules: use another topic,"
                " or relax the rules (docs/schema-registry.md)"
            )
    return "not registered: emostream schemas register"
