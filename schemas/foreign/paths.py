"""Dotted paths: where in a record's JSON a part of a post is found."""

from typing import Any

EACH = "*"
"""A step that goes into every item of a list: `tags.*.name`."""


class DottedPath:
    """A dotted path, cut once: `user.screen_name`; lists by index, or each: `tags.*.name`."""

    __slots__ = ("_dotted", "_steps")

    def __init__(self, dotted: str | None) -> None:
        """Empty and None lead nowhere."""
        self._dotted = dotted or ""
        self._steps = tuple(
            (key, int(key) if key.isdecimal() else None) for key in self._dotted.split(".") if key
        )

    def find(self, tree: Any) -> Any:
        """Give what is there; None where nothing is. A key with dots is tried first.

        Past a `*` it is a flat list of what was found in the items, without nulls.
        """
        steps = self._steps
        if len(steps) > 1 and isinstance(tree, dict) and self._dotted in tree:
            return tree[self._dotted]
        return _walk(tree, steps) if steps else None


def _walk(tree: Any, steps: tuple[tuple[str, int | None], ...]) -> Any:
    for number, (key, index) in enumerate(steps):
        if isinstance(tree, dict):
            tree = tree.get(key)
        elif isinstance(tree, list) and index is not None and index < len(tree):
            tree = tree[index]
        elif isinstance(tree, list) and key == EACH:
            return _each(tree, steps[number + 1 :])
        else:
            return None
    return tree


def _each(items: list[Any], steps: tuple[tuple[str, int | None], ...]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        one = _walk(item, steps)
        if isinstance(one, list):
            found += one
        elif one is not None:
            found.append(one)
    return found
