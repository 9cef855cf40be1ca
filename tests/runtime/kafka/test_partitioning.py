"""Keys go where they would go by any other client."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafkas
from hypothesis import given
from hypothesis import strategies as st

from runtime.kafka.partitioning import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_it_hashes_as_the_tests_of_javas_client_have_it(data: bytes, hashed: int) -> None:
    assert murmur2(data) == hashed % 2**32


@given(data=st.binary(max_size=600), partitions=st.integers(1, 40))
def test_it_chooses_as_aiokafka_does(data: bytes, partitions: int) -> None:
    assert murmur2(data) == aiokafkas(data)
    numbers = list(range(partitions))
    assert partition_of(data, numbers, []) == DefaultPartitioner()(data, numbers, [])


def test_without_a_key_it_takes_one_that_has_a_leader() -> None:
    assert {partition_of(None, [0, 1, 2], [1]) for _ in range(20)} == {1}
    assert {partition_of(None, [0, 1, 2], []) for _ in range(200)} == {0, 1, 2}
