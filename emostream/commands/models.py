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
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    marks = {"yes": ("yes", "green"), "care": ("with care", "yellow"), "no": ("no", "red")}
    for model in MODELS:
        console.print(Text(model.hub_id or model.name, style="bold"))
        memory = f"{model.weights_gb:g} GB of weights"
        if model.cache_mb_per_token:
            memory += f" + {model.cache_mb_per_token:g} MB a token in flight"
        facts = (
            f"{model.size}, {model.architecture}, {model.dtype}, {model.context_tokens} tokens,"
            f" prompts: {model.wrapper.name.lower()}. GPU: {memory}. Tokenizer: {model.tokenizer}."
        )
        console.print(Padding(Text(facts), (0, 0, 0, 2)))
        for serving in model.serving:
            word, colour = marks[serving.works]
            line = Text.assemble((f"{word:<11}", colour), f"{serving.server}: {serving.note}")
            console.print(Padding(line, (0, 0, 0, 2)))
            if serving.launch:
                command = Text(serving.command(model.hub_id or model.name), style="dim")
                # One line, to be copied: a terminal wraps it, not we.
                console.print(command, soft_wrap=True)
        console.print()
