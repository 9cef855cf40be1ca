"""Documentation that is made from the code: `python -m emostream.reference` writes it."""

import ast
import itertools
import re
import sys
from pathlib import Path

from consumer import dead_letters, settings
from consumer.telemetry import log_events, metrics
from emollm.clients import events as server_events
from emollm.models import MODELS
from emostream import capacity
from monitor import settings as monitor_settings
from monitor.notify import log_events as notify_events
from monitor.page import log_events as page_events
from monitor.tables import tables
from monitor.telemetry import log_events as monitor_events
from monitor.telemetry import metrics as monitor_metrics
from producer.live import log_events as live_events
from producer.live import metrics as live_metrics
from runtime.telemetry import log_events as shared

ROOT = Path(__file__).parent.parent
_MARKS = {"yes": "yes", "care": "with care", "no": "**no**"}


def documents() -> dict[str, str]:
    """Every generated page's text by its path from the project's root."""
    operations = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    rules = (ROOT / "infra/prometheus/emostream.rules.yaml").read_text(encoding="utf-8")
    for block, text in {
        "alerts": f"```yaml\n{rules}```\n",
        "metrics": metrics.to_markdown(),
        "log-events": log_events.EVENTS.to_markdown()
        + "".join(shared.EVENTS.to_markdown().splitlines(keepends=True)[2:])
        + _server_events(),
        "monitor-metrics": monitor_metrics.table(),
        "monitor-log-events": _monitor_events(),
        "live-metrics": live_metrics.table(),
        "live-log-events": live_events.EVENTS.to_markdown(),
    }.items():
        operations = replaced(operations, block, text)
    delivery = (ROOT / "docs/delivery.md").read_text(encoding="utf-8")
    scale = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    tables_page = (ROOT / "docs/tables.md").read_text(encoding="utf-8")
    return {
        "docs/configuration.md": settings.to_markdown() + monitor_settings.to_markdown(),
        "docs/delivery.md": replaced(delivery, "dead-letters", dead_letters.to_markdown()),
        "docs/operations.md": operations,
        "docs/models.md": models_page(),
        "docs/scale.md": replaced(scale, "costs", capacity.to_markdown()),
        "docs/tables.md": replaced(tables_page, "columns", tables.to_markdown()),
    }


def models_page() -> str:
    """The table of models, with what to mind about each on each server."""
    rows = [
        f"| {model.hub_id or model.name} | {model.size} | {model.wrapper.name.lower()}"
        f" | {serving.server} | {_MARKS[serving.works]} | {'yes' if serving.pads else ''}"
        f" | {serving.note} |"
        for model in MODELS
        for serving in model.serving
    ]
    return "\n".join(
        [
            "# Models",
            "",
            "<!-- Generated from emollm/models.py by `make generated`. -->",
            "",
            "Which EmoLLM runs on which server, as `emostream models` prints it. `prompts` is the",
            "wrapper: `human` puts the instruction between `Human:` and `Assistant:`, `bare` sends",
            "it as it is. A model not in the table needs `model.wrapper` (and",
            "`model.family` where it is `t5` or `bart` and its server doesn't tell).",
            "At start a canary asks each server known texts, so that a server that loads a model",
            "wrongly is found before a post is read by it.",
            "",
            "Where `pads` is yes, the server pads the prompts of a batch to the longest, so those",
            "of similar length are sent together, unless `model.length_buckets` says otherwise.",
            "",
            "| model | size | prompts | server | works | pads | mind |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            "## What each is, and what it takes",
            "",
            "GPU memory is that of the weights at two bytes a parameter, and for each token in",
            "flight (64 prompts of 150 tokens are 9,600). `emostream models` prints the command",
            "that launches each on each server.",
            "",
            "| model | architecture | context | dtype | GPU: weights, token | tokenizer |",
            "|---|---|---|---|---|---|",
            *(
                f"| {model.hub_id or model.name} | `{model.architecture}`"
                f" | {model.context_tokens} | {model.dtype} | {model.weights_gb:g} GB,"
                f" {model.cache_mb_per_token:g} MB | {model.tokenizer} |"
                for model in MODELS
            ),
            "",
        ]
    )


def _monitor_events() -> str:
    """The monitor's own, the page's, and those of the notifications."""
    page = [f"| `{name}` | {meaning} |\n" for name, meaning in page_events.EVENTS.items()]
    notify = notify_events.EVENTS.to_markdown().splitlines(keepends=True)[2:]
    return monitor_events.EVENTS.to_markdown() + "".join((*page, *notify))


def _server_events() -> str:
    """Rows for the events of the pool: constants with a line of meaning below each."""
    body = ast.parse(Path(server_events.__file__).read_text(encoding="utf-8")).body
    rows = []
    for constant, meaning in itertools.pairwise(body):
        if (
            isinstance(constant, ast.AnnAssign)
            and isinstance(constant.value, ast.Constant)
            and isinstance(meaning, ast.Expr)
            and isinstance(meaning.value, ast.Constant)
        ):
            rows.append(f"| `{constant.value.value!s}` | {meaning.value.value!s} |")
    return "\n".join(rows) + "\n"


def replaced(page: str, block: str, text: str) -> str:
    """Put a text between `<!-- block: … -->` and `<!-- end -->`.

    Raises:
        LookupError: the page has no such block.
    """
    pattern = re.compile(rf"(<!-- {block}: .*? -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(page):
        raise LookupError(f"a page has lost its block {block}")
    return pattern.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", page)


def outdated() -> list[str]:
    """Generated pages that say something else than the code."""
    return [
        name
        for name, text in documents().items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != text
    ]


def main() -> None:
    """Write what is outdated."""
    for name in outdated():
        (ROOT / name).write_text(documents()[name], encoding="utf-8")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main()
