"""A group's offsets, asked of a coordinator that can't tell now: no answer isn't "none committed".

Since OffsetFetch version 2 a coordinator that is loading, or isn't the group's any more, says so
once for the whole answer and names no partition. aiokafka 0.14 looks for errors at the partitions
only, takes such an answer for "nothing is committed", and begins at the logs' starts (or ends).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    NotCoordinatorForGroupError,
    for_code,
)

_OFFSET_FETCH = 9
_ELSEWHERE = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError)


def install() -> None:
    """Have aiokafka ask again after such an answer; once is enough, more does nothing."""
    if GroupCoordinator._send_req.__name__ == "_send_req":  # noqa: SLF001 - no other way
        GroupCoordinator._send_req = _checked(GroupCoordinator._send_req)  # noqa: SLF001


def _checked(
    original: Callable[[Any, Any], Awaitable[Any]],
) -> Callable[[Any, Any], Awaitable[Any]]:
    async def send(self: Any, request: Any) -> Any:
        answer = await original(self, request)
        code = getattr(answer, "error_code", 0)
        if answer.API_KEY == _OFFSET_FETCH and code:
            error = for_code(code)
            if issubclass(error, _ELSEWHERE):
                self.coordinator_dead()
            raise error
        return answer

    return send
