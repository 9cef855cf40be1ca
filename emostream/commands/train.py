"""`emostream train`: fine-tune a model on instructions, and the data for it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from typing_extensions import override

from emostream import interrupt
from emostream.bar import Bar
from emostream.exits import require
from emostream.logs import quiet_logs
from training.finetune.plan import Plan
from training.finetune.progress import Progress

if TYPE_CHECKING:
    from training.evaluation.readings import Reading
    from training.evaluation.scores import TaskScores
    from training.finetune.run import Result

_HELP = """Fine-tune a LLaMA, OPT, BLOOM, T5 or BART on instructions, as the EmoLLMs were.

**Examples**

```
emostream train data SemEval2018-Task1/ aaid/
emostream train run facebook/opt-125m my-model/ --data aaid/ --method lora
emostream train run lzw1008/Emollama-chat-7b tuned/ --data own.json --dev own-dev.json
emostream train merge my-adapters/ merged/ --base facebook/opt-125m
emostream serve --model-id my-model/
```
"""

app = App(name="train", help=_HELP)


@app.command
def data(source: Path, out: Path) -> None:
    """Build the EmoLLMs' instruction data (AAID) from the files of SemEval-2018 task 1.

    Each labelled post of the five English tasks is asked in all ten wordings. OUT gets `train.json`
    and `dev.json`, JSON lines of `conversations` as the authors' own training script reads them:
    234,040 and 47,120 records from the whole data set, as in the paper.

    **Examples**

    ```
    emostream train data SemEval2018-Task1/ aaid/
    ```

    Args:
        source: Folder with the organisers' files (`EI-reg-En-anger-train.txt`, …), also in
            subfolders; from competitions.codalab.org/competitions/17751.
        out: Folder to write.
    """
    from training.finetune import aaid, records

    for part, published in aaid.PUBLISHED.items():
        path = out / f"{part}.json"
        count = records.write(aaid.records(source, part, _note), path)
        beside = "as in the paper" if count == published else f"the paper has {published:,}"
        sys.stdout.write(f"{path}: {count:,} records ({beside})\n")


@app.command
def run(
    base: str,
    out: Path,
    *,
    data: Path,
    dev: Path | None = None,
    wrapper: Literal["human", "bare"] | None = None,
    plan: Annotated[Plan, Parameter(name="*")] = Plan(),
    work: Path | None = None,
    keep_checkpoints: bool = False,
    skip_scoring: bool = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Fine-tune a model on instructions and answers; write a folder that any server loads.

    The loss looks at the answers alone, and at the end-of-sequence token after them. The defaults
    are the EmoLLMs' own. The weights with the lowest loss on dev are kept; adapters are merged into
    them (and kept in `adapters/`, too). At the end the model is served from its folder, asked about
    the dev records' posts, and scored as `emostream evaluate` does.

    A run that was interrupted, however it was, is continued by the same command, with the same
    result: Ctrl-C or SIGTERM ends it after the update in work, and keeps a checkpoint; after a
    kill -9 it goes on from the last one. One process and one GPU: `CUDA_VISIBLE_DEVICES` chooses.

    **Examples**

    ```
    emostream train run facebook/opt-125m my-model/ --data SemEval2018-Task1/ --method lora
    emostream train run ./Emot5-large tuned/ --data own.json --dev own-dev.json --epochs 1
    emostream train run lzw1008/Emollama-7b q/ --data aaid/ --method lora-4bit --device-batch 8
    emostream train run ./tiny out/ --data aaid/ --max-steps 20 --json
    ```

    Args:
        base: The model to begin with: a folder, or a name on the hub.
        out: Folder to write; with `.work` after its name, where the run keeps its checkpoints.
        data: A folder of SemEval-2018 task 1; a folder with `train.json` and `dev.json`; or a file
            of training records. Files are JSON lines or one JSON list, of the authors'
            `conversations`, or of `instruction` and `output`.
        dev: File of the records to choose by. Without any, nothing is chosen and nothing scored.
        wrapper: What is put around instructions, here and later by the consumer: `human` (between
            `Human:` and `Assistant:`) or `bare`. [default: the table's, or as its family is asked]
        plan: The hyper-parameters.
        work: Folder of the checkpoints and of the metrics meanwhile. [default: OUT.work]
        keep_checkpoints: Leave it there afterwards.
        skip_scoring: Don't ask the finished model.
        json_: One JSON object at the end: `training` and `scores`.
    """
    quiet_logs("error")
    for module in ("torch", "transformers", "accelerate"):
        require(module)
    from emollm.prompts import Wrapper
    from training.finetune import card, run, saving
    from training.finetune import data as sources

    records = sources.load(data, dev, _note)
    if not records.dev:
        sys.stderr.write("no dev records: the last weights are kept, and nothing is scored\n")
    told = _Told()
    try:
        result = run.train(
            base,
            records,
            plan,
            out,
            work=work,
            wrapper=Wrapper.named(wrapper) if wrapper else None,
            keep_checkpoints=keep_checkpoints,
            progress=told,
        )
    except KeyboardInterrupt:
        told.close()
        sys.stderr.write("interrupted: the same command goes on where this one ended\n")
        raise
    finally:
        told.close()
    gold = [] if skip_scoring else sources.gold(records.dev)
    scores = _scores(out, result, gold) if gold else None
    with saving.writing(out):
        card.write(out, result, scores)
        if scores is not None:
            (out / "scores.json").write_bytes(saving.to_json(scores))
    _print(out, result, scores, as_json=json_)


@app.command
def merge(
    adapters: Path,
    out: Path,
    *,
    base: str | None = None,
    wrapper: Literal["human", "bare"] | None = None,
) -> None:
    """Add LoRA adapters that were trained elsewhere to their base model's weights.

    What `emostream train run` writes is merged already. This is for adapters alone, as peft saves
    them: no server loads them without their base. OUT is a folder that any server loads; the
    weights keep the base's type of number. It needs the memory of the base's weights, and no GPU.

    **Examples**

    ```
    emostream train merge my-adapters/ merged/
    emostream train merge my-adapters/ merged/ --base lzw1008/Emollama-7b --wrapper human
    ```

    Args:
        adapters: Folder with `adapter_config.json` and `adapter_model.safetensors` (or `.bin`).
        out: Folder to write.
        base: The model that they were trained on: a folder, or a name on the hub. [default: what
            `adapter_config.json` names]
        wrapper: What was put around instructions in training: `human` (between `Human:` and
            `Assistant:`) or `bare`. [default: the table's, or as its family is asked]
    """
    quiet_logs("error")
    for module in ("torch", "transformers", "peft"):
        require(module)
    from emollm.prompts import Wrapper
    from training.finetune import merging

    merged = merging.merge(
        adapters, out, base=base, wrapper=Wrapper.named(wrapper) if wrapper else None, tell=_note
    )
    sys.stdout.write(
        f"{out}: {merged.name} with the adapters added; asked in the wrapper"
        f" {merged.wrapper.name.lower()}\nserve it: emostream serve --model-id {out}\n"
    )


def _note(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


class _Told(Progress):
    """A run's progress on standard error."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._first = 0

    @override
    def began(self, text: str) -> None:
        """Say what begins."""
        self.close()
        sys.stderr.write(f"{text}\n")

    @override
    def tokenized(self, done: int, whole: int) -> None:
        """Show how many records are in tokens."""
        self._show("records tokenized", done, whole)

    @override
    def updated(self, done: int, whole: int) -> None:
        """Show how many updates were made."""
        self._show("updates", done, whole)

    @override
    def stopping(self) -> None:
        """Say that the signal was heard."""
        sys.stderr.write(
            "ending after this update, with a checkpoint; once more ends at once, without\n"
        )

    def _show(self, what: str, done: int, whole: int) -> None:
        if self._bar is None:
            self._first = done if what == "updates" and done > 1 else 0
            self._bar = Bar(what, whole)
            self._bar.__enter__()
        self._bar.update(done - self._first, done)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.__exit__()
            self._bar = None


def _scores(out: Path, result: "Result", gold: "list[Reading]") -> "dict[str, TaskScores]":
    """Serve the finished model, ask it what people were asked, and score its answers."""
    from consumer.settings import load
    from emostream.batch.gold import ask_gold, asked_task
    from emostream.batch.model import open_batch_model
    from training.evaluation.readings import matched
    from training.evaluation.scores import score

    # No configuration file: it is about another model.
    settings = load(
        None,
        {
            "EMOSTREAM_MODEL__NAME": out.name,
            "EMOSTREAM_MODEL__FAMILY": result.family,
            "EMOSTREAM_MODEL__WRAPPER": result.wrapper,
        },
    )
    tasks = list(dict.fromkeys(map(asked_task, gold)))

    folder = str(out.absolute())

    async def ask() -> "list[Reading]":
        async with open_batch_model(settings, tasks, model_id=folder) as model:
            with Bar("answers", len(gold)) as bar:
                return await ask_gold(
                    model, gold, wording=0, progress=lambda done: bar.update(done, done)
                )

    return score(matched(gold, interrupt.run(ask())))


def _print(
    out: Path, result: "Result", scores: "dict[str, TaskScores] | None", *, as_json: bool
) -> None:
    import msgspec

    from emostream import scoring

    if as_json:
        found = scoring.as_json({out.name: scores}) if scores else None
        whole = {"training": msgspec.to_builtins(result), "scores": found}
        sys.stdout.write(json.dumps(whole) + "\n")
        return
    from emostream.console import Console

    console = Console(highlight=False)
    if scores:
        if (benchmark := scoring.benchmark_table({out.name: scores})) is not None:
            console.print(benchmark)
        for table in scoring.detail_tables(out.name, scores):
            console.print(table)
    chosen = "the last" if result.dev_loss is None else f"loss on dev {result.dev_loss:.4f}"
    early = ", stopped early" if result.stopped_early else ""
    sys.stdout.write(
        f"{out}: {result.steps:,} updates{early}, weights: {chosen}; {result.shortened:,} records"
        f" were shortened, {result.left_out:,} left out\n"
        f"serve it: emostream serve --model-id {out}\n"
    )
