"""`demo --file`: one's own posts instead of the story."""

import asyncio
from pathlib import Path

from emostream.demo.story import Planned, Story
from emostream.exits import WRONG_USAGE, CommandError
from producer.errors import NoSuchColumn, ProducerError
from producer.files import PostFile
from producer.replay import ReplaySettings, posts_of
from producer.report import BadLine
from schemas import Post
from schemas.foreign import POSITION, FieldPaths

_RATE = 20.0
"""Posts a second where none is named: below what the small model reads on a laptop."""


async def read_own(path: Path, limit: int, *, rate: float | None) -> Story:
    """Read up to `limit` posts of a CSV, TSV or JSON-lines file; they keep their own times.

    A file without a column `id` gets its lines' numbers as ids.

    Raises:
        CommandError: the file can't be read, or no line of it is a post.
    """
    try:
        try:
            posts, bad = await _read(path, limit, FieldPaths())
        except NoSuchColumn as error:
            if error.field != "id":
                raise
            posts, bad = await _read(path, limit, FieldPaths(id=POSITION))
    except NoSuchColumn as error:  # there is no flag to name another
        raise CommandError(error.what, status=WRONG_USAGE) from error
    except ProducerError as error:
        raise CommandError(str(error), status=WRONG_USAGE) from error
    if not posts:
        reason = f": line {bad.line}: {bad.reason}" if bad is not None else ""
        raise CommandError(f"no post in {path.name}{reason}", status=WRONG_USAGE)
    pace = rate or _RATE
    planned = (
        Planned(post=post, role="calm", at_s=number / pace) for number, post in enumerate(posts)
    )
    return Story(planned=tuple(planned), storm_at=None)


async def _read(path: Path, limit: int, fields: FieldPaths) -> tuple[list[Post], BadLine | None]:
    settings = ReplaySettings(path=str(path), fields=fields)
    stop = asyncio.Event()
    posts: list[Post] = []
    bad: BadLine | None = None
    async for item in posts_of(settings, PostFile(str(path)), stop):
        if isinstance(item, BadLine):
            bad = bad or item
            continue
        posts.append(item)
        if len(posts) == limit:
            stop.set()
            break
    return posts, bad
