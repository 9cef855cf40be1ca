"""Questions to a schema registry, by the official asynchronous client; no answer is kept here.

The connection is there while questions are under way, and closed with the last of them: they are
rare, and nobody has to remember to close it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

from runtime.errors import Misconfigured
from runtime.registry.errors import (
    Incompatible,
    NotRegistered,
    RegistryDenied,
    RegistryUnavailable,
)
from runtime.registry.framing import SchemaRef
from runtime.settings.registry import Registry

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import RegisteredSchema, Schema

_T = TypeVar("_T")

Outcome = Literal["answered", "not_found", "refused", "unavailable"]

_CODES_OF_ABSENCE = frozenset({40400, 40401, 40402, 40403, 40404})
"""What a registry adds to a 404: subject, version or schema not found. One without any of these is
no registry's, but that of whatever answers under a wrong address."""
_REFUSED = frozenset({401, 403, 407})
_CONFLICT = frozenset({409, 422})
_LARGEST_ID = 2**31 - 1
"""A schema's id is an int of Java's."""
_ODD = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What the official client meets in JSON of another shape: a gateway's, with status 200."""
_EXTRA = "is not installed: pip install 'emostream[registry]'"


class Observer(Protocol):
    """Is told of each question."""

    def registry_asked(self, outcome: Outcome) -> None:
        """A question to the registry ended so."""


class RegistryClient:
    """Asks one registry. Each call is one attempt, and takes `timeout_s` per address at most."""

    def __init__(
        self,
        settings: Registry,
        *,
        connect: Callable[[], Any] | None = None,
        observer: Observer | None = None,
    ) -> None:
        """`connect` makes an `AsyncSchemaRegistryClient`: the seam for the client's own mock."""
        self._settings = settings
        self._connect = connect or (lambda: _official(settings))
        self._observer = observer
        self._client: Any = None
        self._using = 0

    @property
    def shown(self) -> str:
        """Where it is, for messages: hosts alone."""
        return ", ".join(urlsplit(url).netloc for url in self._settings.urls)

    async def schema(self, ref: SchemaRef) -> "Schema":
        """The schema of an id or a GUID.

        Raises:
            NotRegistered, RegistryUnavailable, RegistryDenied
        """
        if ref.id is not None:
            return await self._by_id(ref.id)
        try:
            return await self._ask(lambda client: _whole(client.get_schema_by_guid(ref.guid)))
        except RegistryUnavailable as error:
            if not error.no_registry_404:
                raise
            await self.subjects()  # it is a registry: one that knows no GUIDs, as Apicurio 3.3
            raise NotRegistered(f"the schema registry at {self.shown} knows no GUIDs") from None

    async def _by_id(self, number: int) -> "Schema":
        if number > _LARGEST_ID:
            # Not to be asked for: Confluent's answers 404 as to a wrong path, which is waited out.
            raise NotRegistered(f"the schema registry at {self.shown} has no id above 2^31")
        try:
            return await self._ask(lambda client: _whole(client.get_schema(number)))
        except Incompatible as error:
            raise RegistryUnavailable(str(error)) from None  # no answer to this question

    async def version(self, subject: str, version: int) -> "RegisteredSchema":
        """One version of a subject, a deleted one too: others may refer to it. Raises as above."""
        return await self._ask(
            lambda client: _registered(client.get_version(subject, version, deleted=True))
        )

    async def latest(self, subject: str) -> "RegisteredSchema":
        """A subject's latest version. Raises as above."""
        return await self._ask(lambda client: _registered(client.get_latest_version(subject)))

    async def look_up(self, subject: str, schema: "Schema") -> "RegisteredSchema":
        """The version of a subject that is this very schema. Raises as above."""
        return await self._ask(lambda client: client.lookup_schema(subject, schema))

    async def register(self, subject: str, schema: "Schema") -> "RegisteredSchema":
        """Register a schema, unless it is already; give what it became.

        Raises:
            Incompatible: the subject's rules refuse it.
            RegistryUnavailable, RegistryDenied
        """
        await self._ask(lambda client: client.register_schema(subject, schema))
        return await self.look_up(subject, schema)  # many registries answer with the id alone

    async def compatible(self, subject: str, schema: "Schema") -> bool:
        """Whether the subject's rules would take it as the next version. Raises as `schema`."""
        return bool(await self._ask(lambda client: client.test_compatibility(subject, schema)))

    async def subjects(self) -> list[str]:
        """Names of all subjects that may be seen: whether it answers, and lets us in."""
        return list(await self._ask(lambda client: client.get_subjects()))

    async def _ask(self, question: Callable[[Any], Awaitable[_T]]) -> _T:
        outcome: Outcome = "unavailable"
        try:
            # Beside the client's own bound: that is on each step of a request, not on the whole.
            async with self._session() as client, asyncio.timeout(self._patience_s):
                answer = await question(client)
            outcome = "answered"
        except Exception as error:
            fault = self._fault(error)
            if fault is None:
                raise
            outcome = _outcome(fault)
            raise fault from None  # its own may quote headers
        else:
            return answer
        finally:
            if self._observer is not None:
                self._observer.registry_asked(outcome)

    @property
    def _patience_s(self) -> float:
        return self._settings.timeout_s * max(1, len(self._settings.urls))

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        if self._client is None:
            self._client = self._connect()
        client = self._client
        self._using += 1
        try:
            yield client
        finally:
            self._using -= 1
            if not self._using:
                self._client = None
                await client.aclose()

    def _fault(self, error: Exception) -> Exception | None:
        """What an error of the official client means; None for a bug."""
        from confluent_kafka.schema_registry import SchemaRegistryError  # noqa: PLC0415 - an extra
        from confluent_kafka.schema_registry.common._httpx_compat import httpx  # noqa: PLC0415

        where = f"the schema registry at {self.shown}"
        if isinstance(error, TimeoutError):
            return RegistryUnavailable(f"{where} gave no answer in {self._patience_s:g} s")
        if isinstance(error, httpx.HTTPError):
            return RegistryUnavailable(f"{where} can't be reached ({type(error).__name__})")
        if isinstance(error, SchemaRegistryError):
            return _refusal(error.http_status_code, error.error_code, where)
        if isinstance(error, _ODD):  # JSON that is none, or lacks what an answer has
            kind = type(error).__name__
            return RegistryUnavailable(
                f"{where} answers with something that is no registry's ({kind})"
            )
        return None


async def _whole(asked: "Awaitable[Schema]") -> "Schema":
    """Await a schema; a ValueError where there is none: kept, it would spoil each record."""
    schema = await asked
    if not isinstance(schema.schema_str, str) or not schema.schema_str:
        raise ValueError("no schema")
    return schema


async def _registered(asked: "Awaitable[RegisteredSchema]") -> "RegisteredSchema":
    """Await a version of a subject; a ValueError likewise."""
    registered = await asked
    if not registered.schema.schema_str:
        raise ValueError("no schema")
    return registered


def _refusal(status: int, code: int | None, where: str) -> Exception:
    if status == 404 and code in _CODES_OF_ABSENCE:
        return NotRegistered(f"{where} doesn't have it (error {code})")
    if status == 404:
        return RegistryUnavailable(
            f"{where} answers 404 as no registry does: is the path in registry.urls right?",
            no_registry_404=True,
        )
    if status in _REFUSED:
        return RegistryDenied(
            f"{where} refuses us (HTTP {status}): correct registry.username and password, or token,"
            " or grant the right"
        )
    if status in _CONFLICT:
        return Incompatible(f"{where} refuses the schema (HTTP {status}, error {code})")
    return RegistryUnavailable(f"{where} answers HTTP {status}")


def _outcome(fault: Exception) -> Outcome:
    if isinstance(fault, NotRegistered):
        return "not_found"
    return "unavailable" if isinstance(fault, RegistryUnavailable) else "refused"


def _official(settings: Registry) -> Any:
    """The official client. Its own retries are off: ours are told of, and end with the service."""
    try:
        from confluent_kafka.schema_registry import (  # noqa: PLC0415 - an extra
            AsyncSchemaRegistryClient,
        )
    except ModuleNotFoundError as error:
        raise Misconfigured(f"[registry] is configured, and {error.name} {_EXTRA}") from None
    try:
        return AsyncSchemaRegistryClient.new_client(client_conf(settings))
    except (OSError, ValueError) as error:  # a certificate file
        reason = getattr(error, "strerror", None) or type(error).__name__
        words = f"registry: a certificate or key file can't be used: {reason}"
        raise Misconfigured(words) from None


def client_conf(settings: Registry) -> dict[str, Any]:
    """The official client's own configuration. Holds secrets: never logged."""
    conf: dict[str, Any] = {
        "url": ",".join(settings.urls),
        "timeout": settings.timeout_s,
        "max.retries": 0,
    }
    if settings.username:
        conf["basic.auth.user.info"] = f"{settings.username}:{settings.password.get_secret_value()}"
    if token := settings.token.get_secret_value():
        conf["bearer.auth.credentials.source"] = "STATIC_TOKEN"
        conf["bearer.auth.token"] = token
        conf["bearer.auth.logical.cluster"] = settings.logical_cluster
    files = {
        "ssl.ca.location": settings.ca_file,
        "ssl.certificate.location": settings.cert_file,
        "ssl.key.location": settings.key_file,
        "ssl.key.password": settings.key_password.get_secret_value(),
    }
    return conf | {name: value for name, value in files.items() if value}
