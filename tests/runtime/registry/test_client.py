"""What a registry answers, and when it doesn't: the kind of fault says what to do."""

import pytest
from confluent_kafka.schema_registry import Schema

from runtime.kafka.errors import Denied, KafkaFault, Unreachable
from runtime.registry.client import Outcome, RegistryClient
from runtime.registry.errors import Incompatible, NotRegistered, RegistryUnavailable
from runtime.registry.framing import SchemaRef
from tests.runtime.registry.http_registry import Fault, HttpRegistry, http_registry

ONE = SchemaRef(id=1)


class Seen:
    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def registry_asked(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


async def fault_of(registry: HttpRegistry, seen: Seen | None = None) -> KafkaFault:
    # What answers, does so within the default, on a busy machine too.
    patience = {"timeout_s": 0.3} if registry.fault == "hang" else {}
    client = RegistryClient(registry.settings(**patience), observer=seen)
    with pytest.raises(KafkaFault) as caught:
        await client.schema(ONE)
    return caught.value


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("503", "HTTP 503"),
        ("hang", "no answer in 0.3 s|can't be reached"),
        ("wrong_path", "is the path in registry.urls right"),
        ("html", "no registry's"),
    ],
)
async def test_no_usable_answer_is_something_to_try_again(fault: Fault, words: str) -> None:
    async with http_registry() as registry:
        registry.fault = fault
        seen = Seen()
        found = await fault_of(registry, seen)
    assert isinstance(found, Unreachable)
    assert seen.outcomes == ["unavailable"]
    with pytest.raises(RegistryUnavailable, match=words):
        raise found
    assert "a secret of the server" not in str(found)


async def test_nobody_there_is_something_to_try_again() -> None:
    async with http_registry() as registry:
        pass
    assert isinstance(await fault_of(registry), Unreachable)


async def test_refused_credentials_are_for_a_human_and_never_told() -> None:
    async with http_registry() as registry:
        registry.fault = "401"
        made = registry.settings(username="ann", password="sekrit-word")
        with pytest.raises(Denied) as refused:
            await RegistryClient(made).schema(ONE)
        assert registry.credentials == {"ann:sekrit-word"}
    assert "registry.username" in str(refused.value)
    assert "sekrit" not in str(refused.value)


async def test_a_token_is_sent_as_a_bearer() -> None:
    async with http_registry() as registry:
        registry.add("s", {"type": "string"})
        await RegistryClient(registry.settings(token="sekrit-token")).schema(ONE)
        assert registry.credentials == {"sekrit-token"}


async def test_what_is_not_there_is_no_outage() -> None:
    async with http_registry() as registry:
        client = RegistryClient(registry.settings())
        for question in (
            client.schema(ONE),
            client.schema(SchemaRef(guid=registry.guid(5))),
            client.latest("nothing"),
            client.version("nothing", 3),
            client.look_up("nothing", Schema('"string"', "AVRO")),
        ):
            with pytest.raises(NotRegistered):
                await question


async def test_a_registry_without_guids_does_not_have_the_schema() -> None:
    """Apicurio 3.3 answers 404 without a code: else its readers would wait without end."""
    async with http_registry() as registry:
        client = RegistryClient(registry.settings())
        registry.knows_guids = False
        with pytest.raises(NotRegistered):
            await client.schema(SchemaRef(guid=registry.guid(1)))


async def test_an_incompatible_schema_is_told_apart() -> None:
    async with http_registry() as registry:
        registry.add("s", {"type": "string"})
        registry.refuses = True
        client = RegistryClient(registry.settings())
        with pytest.raises(Incompatible):
            await client.register("s", Schema('{"type": "long"}', "AVRO"))
        assert not await client.compatible("s", Schema('{"type": "long"}', "AVRO"))


async def test_the_second_address_is_asked_where_the_first_is_down() -> None:
    async with http_registry() as down, http_registry() as up:
        down.fault = "503"
        up.add("s", {"type": "string"})
        made = up.settings(urls=(down.url, up.url))
        assert (await RegistryClient(made).schema(ONE)).schema_type == "AVRO"
        assert down.total() == 1
