"""Files whose records have another shape than a `Post`'s: read by the consumer's own reader.

The same dotted paths as in the consumer's `input.fields`: `user.screen_name`, `tags.*.name`. A file
is mapped here where the topic is to hold `Post`s; to have the consumer map, replay the file as it
is and configure the consumer.
"""

from collections.abc import Iterator

from schemas.foreign import KEY, POSITION, FieldPaths

_DEFAULT = FieldPaths()


def columns(paths: FieldPaths) -> Iterator[tuple[str, str]]:
    """Yield the fields whose path was named, as the text's always is, each with its path."""
    for name in FieldPaths.__struct_fields__:
        path = getattr(paths, name)
        if name == "meta_values":
            yield from ((f"meta.{key}", one) for key, one in path.items())
        elif path in (POSITION, KEY, None, ""):
            continue
        elif name in ("id", "text") or path != getattr(_DEFAULT, name):
            yield name, path
