"""`emostream models`: the EmoLLMs, and what serves them."""

import json
import sys
from typing import Annotated

from cyclopts import Parameter


def models(*, json_: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """List the models that emostream knows, and which server can serve each.

    Examples:
        emostream models

        emostream models --json | jq -r '.[].hub_id'

    Args:
        json_: One JSON list instead of a table.
    """
    import msgspec

    from emollm.models import MODELS

    if json_:
        rows = [msgspec.to_builtins(model, enc_hook=lambda value: value.name) for model in MODELS]
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("model", "size", "prompt", "server", "", "note"):
        table.add_column(column, overflow="fold")
    marks = {"yes": "[green]yes[/]", "care": "[yellow]with care[/]", "no": "[red]no[/]"}
    for model in MODELS:
        name, size, wrapper = model.hub_id or model.name, model.size, model.wrapper.name.lower()
        for serving in model.serving:
            table.add_row(name, size, wrapper, serving.server, marks[serving.works], serving.note)
            name = size = wrapper = ""
    Console().print(table)
