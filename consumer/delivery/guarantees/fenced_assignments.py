"""How often in a row this member's work was refused: two members with one static id take turns."""

from consumer.delivery.offsets import Ledger
from runtime.errors import Misconfigured

_MOST = 10
"""Assignments in a row of which no commit was taken. Refusals of one assignment count once: while a
member that was thrown out drains, each of its commits is refused, one a second."""


class FencedAssignments:
    """Counts assignments whose commits were refused."""

    def __init__(self, static_id: str | None, ledger: Ledger) -> None:
        """`static_id` is the member's `group_instance_id`, where it has one."""
        self._static_id = static_id
        self._ledger = ledger
        self._count = 0
        self._epoch = 0

    def count(self) -> None:
        """One was refused.

        Raises:
            Misconfigured: it is so each time: another member has this one's static id.
        """
        if self._epoch == self._ledger.newest:
            return
        self._epoch = self._ledger.newest
        self._count += 1
        if self._static_id is not None and self._count >= _MOST:
            raise Misconfigured(
                f"the group refused the commits of {self._count} assignments in a row: another "
                f"process runs as group_instance_id {self._static_id!r}, too; give each member one "
                "of its own"
            )

    def forget(self) -> None:
        """One was taken."""
        self._count = 0
