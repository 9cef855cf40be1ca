"""Where windows stand on their topic."""

import msgspec
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from monitor.live.journal import track_partition, window_key
from tests.monitor.live.test_board import window


@given(track=st.text(min_size=1, max_size=64), partitions=st.integers(1, 50))
def test_a_track_has_one_partition_and_it_is_the_one_that_kafkas_clients_give_its_name(
    track: str, partitions: int
) -> None:
    numbers = list(range(partitions))
    key = track.encode(errors="replace")
    assert track_partition(key.decode(), partitions) == DefaultPartitioner()(key, numbers, numbers)


@pytest.mark.parametrize("minute", [0, 1, 59])
def test_the_key_is_the_track_and_the_start_of_the_window(minute: int) -> None:
    one = window(minute)
    assert window_key(one) == f"trains|2026-03-02T08:{minute:02d}:00Z".encode()
    written_again = msgspec.json.decode(msgspec.json.encode(one), type=type(one))
    assert window_key(written_again) == window_key(one)
