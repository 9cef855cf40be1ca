"""Each way not to get into Kafka is its own sentence, provoked on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trustme

from runtime.kafka.aiokafka_brokers import AiokafkaConsumer
from runtime.kafka.connection import Broker, unreachable
from runtime.kafka.diagnosis import diagnose
from runtime.kafka.errors import Denied, Unreachable
from runtime.kafka.options import KafkaOptions
from tests.refusing import refusing_port
from tests.runtime.kafka.guarded import Guarded

pytestmark = pytest.mark.usefixtures("patient")

PLAIN: dict[str, object] = {"security_protocol": "PLAINTEXT"}


async def words(bootstrap: str, security: dict[str, object]) -> str:
    found = await diagnose(bootstrap, security)
    return "" if found is None else found.words


async def test_who_gets_in_is_told_nothing(guarded: Guarded) -> None:
    assert await diagnose(guarded.plain, PLAIN) is None
    assert await diagnose(guarded.tls, guarded.trust()) is None
    assert await diagnose(guarded.sasl, guarded.login("ann")) is None


async def test_a_wrong_password_is_left_to_the_brokers_own_words(guarded: Guarded) -> None:
    assert await diagnose(guarded.sasl, guarded.login("ann", "guessed")) is None


async def test_no_tls_where_the_listener_speaks_it(guarded: Guarded) -> None:
    said = await words(guarded.tls, PLAIN)
    assert "speaks TLS, and kafka.tls.enabled is false" in said
    assert guarded.tls in said


async def test_tls_where_the_listener_speaks_none(guarded: Guarded) -> None:
    said = await words(guarded.plain, guarded.trust())
    assert "speaks no TLS, and kafka.tls.enabled is true" in said


async def test_a_certificate_of_a_stranger(guarded: Guarded) -> None:
    context = guarded._replace(ca_file=guarded.ca_file.with_name("other.pem"))
    trustme.CA().cert_pem.write_to_path(context.ca_file)
    said = await words(guarded.tls, context.trust())
    assert "isn't accepted" in said
    assert "kafka.tls.ca_file" in said


async def test_credentials_where_the_listener_asks_for_none(guarded: Guarded) -> None:
    found = await diagnose(guarded.plain, guarded.login("ann"))
    assert found is not None
    assert found.credentials
    assert "asks for no credentials, and kafka.sasl.mechanism is PLAIN" in found.words


async def test_no_credentials_where_the_listener_wants_them(guarded: Guarded) -> None:
    found = await diagnose(guarded.sasl, PLAIN)
    assert found is not None
    assert found.credentials
    assert "wants credentials: set kafka.sasl.mechanism" in found.words


async def test_a_mechanism_that_is_not_offered_names_those_that_are(guarded: Guarded) -> None:
    login = {**guarded.login("ann"), "sasl_mechanism": "SCRAM-SHA-512"}
    said = await words(guarded.sasl, login)
    assert "doesn't offer SCRAM-SHA-512: set kafka.sasl.mechanism to one of PLAIN" in said


async def test_the_client_says_the_same_and_credentials_are_no_reason_to_wait(
    guarded: Guarded,
) -> None:
    async def started(bootstrap: str, security: dict[str, object]) -> None:
        consumer = AiokafkaConsumer(
            KafkaOptions(bootstrap=bootstrap, group_id="g", security=security)
        )
        try:
            await consumer.start()
        finally:
            await consumer.stop()

    with pytest.raises(Denied, match="asks for no credentials"):
        await started(guarded.plain, guarded.login("ann"))
    with pytest.raises(Denied, match="wants credentials"):
        await started(guarded.sasl, PLAIN)
    with pytest.raises(Unreachable, match="speaks TLS"):
        await started(guarded.tls, PLAIN)
    with pytest.raises(Denied, match="Invalid username or password"):
        await started(guarded.sasl, guarded.login("ann", "guessed"))


@asynccontextmanager
async def listening(
    answer: bytes | None, connected: Callable[[], None] = lambda: None
) -> AsyncIterator[str]:
    """Something else than Kafka: it says `answer` to whatever comes; None: nothing, ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected()
        await reader.read(64)
        if answer is not None:
            writer.write(answer)
        else:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_nobody_there() -> None:
    with refusing_port() as port:
        place = f"127.0.0.1:{port}"
        said = await words(place, PLAIN)
    assert f"nothing listens at {place}" in said
    assert "kafka.bootstrap" in said


async def test_a_web_server() -> None:
    async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        assert "is a web server, not Kafka" in await words(place, PLAIN)


async def test_what_speaks_something_else() -> None:
    async with listening(b"220 mail ready\r\n") as place:
        assert "doesn't speak Kafka" in await words(place, PLAIN)


async def test_what_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hurry() -> None:  # not before: a busy machine may take long to connect
        monkeypatch.setattr("runtime.kafka.diagnosis._STEP_S", 0.2)

    async with listening(None, hurry) as place:
        assert "takes connections and doesn't answer" in await words(place, PLAIN)


async def test_a_name_that_is_no_machines() -> None:
    assert "no machine named nowhere.invalid" in await words("nowhere.invalid:9092", PLAIN)


async def test_one_broker_that_lets_us_in_is_enough(guarded: Guarded) -> None:
    with refusing_port() as port:
        assert await diagnose(f"127.0.0.1:{port},{guarded.plain}", PLAIN) is None


async def test_commands_say_it_too() -> None:
    with refusing_port() as port:
        gone = f"127.0.0.1:{port}"
        error = await unreachable(Broker(bootstrap=gone), OSError())
    assert str(error).startswith(f"no connection to Kafka: nothing listens at {gone}")
