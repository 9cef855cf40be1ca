"""`emostream predict`: a model's readings of a whole file."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from emostream.connection import Connection, refuse_two_models
from emostream.exits import FAILED, CommandError
from emostream.interrupt import run
from emostream.logs import quiet_logs

if TYPE_CHECKING:
    from consumer.settings import Settings
    from emostream.batch.asking import Counts


def predict(
    file: Path,
    *,
    out: Path | None = None,
    text_column: str = "text",
    server: str | None = None,
    model_id: str | None = None,
    config: Path | None = None,
    wording: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    skip_canary: bool = False,
) -> int:
    """Ask the model about every row of a file; write answers and read values, in order.

    FILE, gzipped or not, has the EmoLLMs' JSON lines (`instruction`, `input`, `output`), asked as
    they are, or posts: JSON lines with a text, CSV or TSV with a text column, asked what [tasks] of
    the configuration says. A row of a TSV is one line; quotes around a whole cell of it are taken
    off, any other quote is text. Each row gives one JSON line: its own fields, and `pred` (the
    answer by model) with `value`, or for a post `answers` and `values` by question. Unreadable
    answers keep their text, with the reason under `unreadable`.

    With --out, a run that was interrupted, however it was, is continued by the same command: what
    was answered isn't asked again. Exit status 1 when a row has an `error` instead of an answer.

    **Examples**

    ```
    emostream predict data/test.json --out answers.jsonl
    emostream predict posts.csv --text-column message --model-id small --out read.jsonl
    emostream predict posts.jsonl --server http://localhost:3000 | jq .values
    ```

    Args:
        file: JSON lines, CSV or TSV.
        out: Where to write. [default: standard output, from which no run can be continued]
        text_column: Column or key of the text.
        server: Base URL of the model server. [default: the configuration's servers]
        model_id: A model's folder, its name on the hub, or `small`, to be run by this command.
        config: Configuration (TOML), as for `emostream consume`.
        wording: Which of a task's wordings posts are asked in, from 0; after its last one it
            starts over.
        skip_canary: Ask a model that doesn't answer known texts as an EmoLLM would, too.
    """
    quiet_logs("error")
    refuse_two_models(server, model_id)
    settings = Connection(config=config).settings_asking(server)
    counts = run(
        _predict(
            file,
            out=out,
            text_column=text_column,
            settings=settings,
            model_id=model_id,
            wording=wording,
            canary=not skip_canary,
        ),
        sentence="interrupted: the same command goes on where this one ended" if out else "",
    )
    before = ""
    if counts.errors_before:
        before = f"; {counts.errors_before:,} of the rows before have one"
    sys.stderr.write(
        f"{counts.rows:,} rows, {counts.asked:,} prompts, {counts.unreadable:,} unreadable answers,"
        f" {counts.errors:,} errors{before}\n"
    )
    return FAILED if counts.errors or counts.errors_before else 0


async def _predict(
    file: Path,
    *,
    out: Path | None,
    text_column: str,
    settings: "Settings",
    model_id: str | None,
    wording: int,
    canary: bool,
) -> "Counts":
    from contextlib import ExitStack

    from consumer.analysis.plan import make_plan
    from emostream.bar import Bar
    from emostream.batch.asking import Asker
    from emostream.batch.journal import Journal
    from emostream.batch.model import open_batch_model
    from emostream.batch.rows import Rows
    from emostream.batch.run import run as ask_all

    plan = make_plan(settings.tasks, settings.tasks.custom_tasks())
    with ExitStack() as stack:
        rows = stack.enter_context(Rows(file, text_column))
        async with open_batch_model(
            settings, plan.tasks, model_id=model_id, canary=canary
        ) as model:
            if out is None:
                asker = Asker(model, plan, wording=wording)
                write, skip = _to_stdout, 0
            else:
                job = {
                    "input": rows.fingerprint(),
                    "model": f"{model.name} {model.pool.info.model_revision or ''}".rstrip(),
                    "tasks": plan.signature,
                    "text column": text_column,
                    "wording": str(wording),
                }
                journal = stack.enter_context(Journal(out, job))
                asker = Asker(model, plan, wording=wording, known=journal.known, note=journal.note)
                asker.counts.errors_before = journal.errors_before
                write, skip = journal.write, journal.rows
            bar = stack.enter_context(Bar("rows", rows.size))
            await ask_all(
                rows,
                asker,
                concurrency=model.concurrency,
                skip=skip,
                write=write,
                progress=lambda: bar.update(asker.counts.rows, rows.position),
            )
            if out is not None:
                journal.finish()
            return asker.counts


def _to_stdout(line: bytes) -> None:
    try:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # `| head`
        raise
    except OSError as error:
        raise CommandError(f"standard output can't be written: {error.strerror}") from error
