"""`emostream models`: the EmoLLMs, and what serves them."""

import json
import sys
from typing import Annotated

from cyclopts import Parameter


def models(*, json_: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """List the models that emostream knows, and which server can serve each.

    **Examples**

    ```
    emostream models
    emostream models --json | jq -r '.[].hub_id'
    ```

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

    console = Console(highlight=False, soft_wrap=True)
    marks = {
        "yes": "[green]yes      [/]",
        "care": "[yellow]with care[/]",
        "no": "[red]no       [/]",
    }
    for model in MODELS:
        wrapper = model.wrapper.name.lower()
        console.print(f"[bold]{model.hub_id or model.name}[/]  {model.size}, prompts: {wrapper}")
        for serving in model.serving:
            console.print(f"  {marks[serving.works]}[/]  {serving.server:<16} {serving.note}")
