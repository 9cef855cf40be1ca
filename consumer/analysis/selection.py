"""Which records are posts to be analysed: what a rule excludes is skipped, never a dead letter."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from consumer.settings import Input
from schemas import Post
from schemas.foreign import PRESETS, DottedPath

TOMBSTONE: Final = "tombstone"
WHERE: Final = "where"
IGNORE: Final = "ignore"
LANGS: Final = "langs"


class Selection:
    """The rules of `input.where`, `input.ignore`, `input.langs` and the preset."""

    def __init__(self, options: Input) -> None:
        self._preset = PRESETS[options.preset] if options.preset else None
        self._where = _conditions(options.where)
        self._ignore = _conditions(options.ignore)
        self._langs = frozenset(lang.lower() for lang in options.langs)

    @property
    def looks_at_records(self) -> bool:
        """Whether a rule needs the record's JSON, not only the post."""
        return bool(self._preset or self._where or self._ignore)

    def of_record(self, tree: dict[str, Any]) -> str | None:
        """Give the rule by which this record is no post to be analysed; None where it is one."""
        if self._preset is not None and (rule := self._preset.skip(tree)) is not None:
            return rule
        if not all(_holds(path, values, tree) for path, values in self._where):
            return WHERE
        if any(_holds(path, values, tree) for path, values in self._ignore):
            return IGNORE
        return None

    def of_post(self, post: Post) -> str | None:
        """Give the rule by which this post is left out; None where it is analysed.

        `en` admits `en-GB`; a post without a language is left out where languages are named.
        """
        if not self._langs:
            return None
        lang = (post.lang or "").lower()
        return None if lang in self._langs or lang.split("-")[0] in self._langs else LANGS


def _conditions(table: Mapping[str, Any]) -> tuple[tuple[DottedPath, Sequence[Any]], ...]:
    return tuple(
        (DottedPath(path), value if isinstance(value, list | tuple) else (value,))
        for path, value in table.items()
    )


def _holds(path: DottedPath, values: Sequence[Any], tree: Any) -> bool:
    found = path.find(tree)
    candidates = found if isinstance(found, list) else [found]
    # True is not 1 here, as it isn't in JSON.
    return any(
        one == value and isinstance(one, bool) == isinstance(value, bool)
        for one in candidates
        for value in values
    )
