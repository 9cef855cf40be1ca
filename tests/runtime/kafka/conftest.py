"""The broker that lets in only whom it was told to."""

from collections.abc import AsyncIterator

import pytest

from tests.runtime.kafka.guarded import Guarded, guarded_kafka


@pytest.fixture(scope="session")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    async with guarded_kafka(tmp_path_factory.mktemp("guarded")) as found:
        yield found
