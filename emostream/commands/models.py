"""`emostream models`: the EmoLLMs, and what serves them."""

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

_HELP = """List the models that emostream knows, and which server can serve each.

**Examples**

```
emostream models
emostream models --json | jq -r '.[].hub_id'
emostream models for-tgi Emobloom-7b/ Emobloom-7b-tgi/
```
"""


app = App(name="models", help=_HELP)


@app.default
def models(*, json_: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """List the models.

    Args:
        json_: One JSON list instead of a table.
    """
    import msgspec

    from emollm.models import MODELS

    if json_:
        rows = [msgspec.to_builtins(model, enc_hook=lambda value: value.name) for model in MODELS]
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    from rich.padding import Padding
    from rich.text import Text

    from emostream.console import Console

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
            pads = "; prompts are sent by length, since it pads batches" if serving.pads else ""
            line = Text.assemble((f"{word:<11}", colour), f"{serving.server}: {serving.note}{pads}")
            console.print(Padding(line, (0, 0, 0, 2)))
            if serving.launch:
                command = Text(serving.command(model.hub_id or model.name), style="dim")
                # One line, to be copied: a terminal wraps it, not we.
                console.print(command, soft_wrap=True)
        console.print()


@app.command(name="for-tgi")
def for_tgi(source: Path, target: Path, *, compare_logits: bool = False) -> None:
    """Write a BLOOM checkpoint as TGI wants it: tensor names without their `transformer.` prefix.

    TGI fails with 'weight word_embeddings.weight does not exist' on the names that transformers
    writes. Only the names change; safetensors files are copied in chunks, and read back.

    **Examples**

    ```
    emostream models for-tgi Emobloom-7b/ Emobloom-7b-tgi/
    emostream models for-tgi Emobloom-7b/ Emobloom-7b-tgi/ --compare-logits
    ```

    Args:
        source: The model's folder, with .safetensors files.
        target: Folder to write; must not exist, or be empty.
        compare_logits: Load both with transformers and hold their logits against each other: needs
            torch, and the memory of both.
    """
    from emostream.bar import Bar
    from emostream.exits import CommandError
    from infra.tgi.bloom import logits_differ, rewrite

    with Bar("bytes", 1) as bar:
        changed = rewrite(
            source, target, progress=lambda done, whole: bar.update(done, done / whole)
        )
    sys.stdout.write(f"{target}: {changed} names changed, all bytes as in {source}\n")
    if compare_logits:
        if difference := logits_differ(source, target):
            raise CommandError(f"the logits differ by {difference:g}: don't use {target}")
        sys.stdout.write("the logits are equal\n")
