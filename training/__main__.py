"""Train the small model, or score any EmoLLM.

    python -m training teacher --data ../data --work var/small --seed 1
    python -m training small --data ../data --work var/small --out infra/tgi/models/emostream-small
    python -m training score --data ../data --model infra/tgi/models/emostream-small
    python -m training score --data ../data --model DIR --engine torch
    python -m training score --data ../data --url http://127.0.0.1:8080 --on recorded
    python -m training score --data ../data --model DIR --on snippets

`--data` is the folder with semeval2018/, semeval2017_4A/, goemotions/ and emobank/ (and, for
`--on recorded`, emollms_recorded_answers.jsonl.gz, for `--on snippets`, vader/); none of them is
part of this repository.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from training.progress import say


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m training", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    teacher = commands.add_parser(
        "teacher", help="train a larger model, whose readings of unrated texts `small` learns from"
    )
    teacher.add_argument("--data", type=Path, required=True, help="folder of the training data")
    teacher.add_argument("--work", type=Path, required=True, help="folder of the readings")
    teacher.add_argument("--seed", type=int, default=1, help="of order, dropout, fresh weights")
    small = commands.add_parser("small", help="train the small model and write its folder")
    small.add_argument("--data", type=Path, required=True, help="folder of the training data")
    small.add_argument("--out", type=Path, required=True, help="model folder to write")
    small.add_argument(
        "--work",
        type=Path,
        help="folder of the epochs, and of a teacher's readings if it has any (default: OUT.work)",
    )
    small.add_argument("--seed", type=int, default=7, help="of order, dropout, fresh weights")
    small.add_argument("--epochs", type=int, help="after the joint one (default: 4)")
    small.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    score = commands.add_parser("score", help="score a model folder or a server by full prompts")
    score.add_argument("--data", type=Path, required=True, help="folder of the data")
    which = score.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", type=Path, help="model folder")
    which.add_argument("--url", help="a running server that answers /generate")
    score.add_argument(
        "--engine", choices=("light", "torch"), default="light", help="what runs the folder"
    )
    score.add_argument(
        "--on",
        choices=("dev", "recorded", "snippets"),
        default="dev",
        help="SemEval-2018's dev set, the recorded half of its test set, or rated product reviews,"
        " film reviews and editorials",
    )
    return parser.parse_args(arguments)


def _small(options: argparse.Namespace) -> None:
    from training import export, small  # noqa: PLC0415  --help needs no torch

    plan = small.Plan(seed=options.seed, workers=options.workers)
    if options.epochs is not None:
        plan = small.Plan(seed=options.seed, workers=options.workers, epochs=options.epochs)
    work = options.work or options.out.with_name(f"{options.out.name}.work")
    recipe = small.train(plan, options.data, work, say)
    export.write(recipe.result(), recipe.tokenizer, options.out)
    say(f"wrote {options.out}")


def _teacher(options: argparse.Namespace) -> None:
    from training import distil, small, teacher  # noqa: PLC0415  likewise

    readings = teacher.teach(options.data, options.work, options.seed, say)
    distil.write(readings, options.work / small.READINGS)
    say(f"wrote {len(readings)} readings to {options.work / small.READINGS}")


def _score(options: argparse.Namespace) -> None:
    from training import ask  # noqa: PLC0415  likewise

    if options.on == "snippets":
        sets = ask.snippets(options.data)
    else:
        read = ask.dev if options.on == "dev" else ask.recorded
        sets = {"": read(options.data)}
    if options.url:
        answer = ask.server(options.url)
    elif options.engine == "light":
        answer = ask.light(options.model)
    else:
        answer = ask.heavy(options.model)
    for kind, questions in sets.items():
        begun = time.monotonic()
        given = answer([question.prompt for question in questions])
        speed = len(questions) / (time.monotonic() - begun)
        for name, value in ask.score(questions, given).items():
            say(f"{kind:12}{name:14}{value:.3f}")
        say(f"{kind:12}{len(questions)} prompts, {speed:.0f} a second")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command."""
    options = _arguments(arguments)
    {"teacher": _teacher, "small": _small, "score": _score}[options.command](options)


if __name__ == "__main__":
    main()
