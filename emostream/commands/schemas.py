"""`emostream schemas`: the contracts, for other programs."""

import sys
from pathlib import Path

from cyclopts import App

from emostream.commands.schemas_registry import check, register
from emostream.exits import WRONG_USAGE, CommandError

app = App(name="schemas", help="The contracts as JSON Schema, Avro and AsyncAPI; in a registry.")
app.command(check)
app.command(register)


@app.command(name="list")
def list_() -> None:
    """Name the documents.

    **Examples**

    ```
    emostream schemas list
    ```
    """
    from schemas.generate import documents

    sys.stdout.writelines(f"{name}\n" for name in documents())


@app.command
def show(name: str) -> None:
    """Write one document to standard output.

    **Examples**

    ```
    emostream schemas show affect_event > affect_event.schema.json
    ```

    Args:
        name: One of `emostream schemas list`; the ending may be left out.
    """
    from schemas.generate import documents

    found = {path: text for path, text in documents().items() if name in _names(path)}
    if not found:
        raise CommandError(
            f"there is no document {name}; see: emostream schemas list", status=WRONG_USAGE
        )
    sys.stdout.write(next(iter(found.values())))


@app.command
def write(folder: Path) -> None:
    """Write all documents into a folder.

    **Examples**

    ```
    emostream schemas write ./contracts
    ```

    Args:
        folder: Made where missing.
    """
    from schemas.generate import documents

    for name, text in documents().items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise CommandError(f"{path} can't be written: {reason}", status=WRONG_USAGE) from None
        sys.stdout.write(f"{path}\n")


def _names(path: str) -> set[str]:
    name = Path(path).name
    return {path, name, name.split(".")[0]}
