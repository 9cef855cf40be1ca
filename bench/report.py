"""What the parts hand in, the table at the end, and the JSON file."""

import sys
import time
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from bench.machine import Machine

_started = time.monotonic()


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the issue, and what it came to."""

    what: str
    figure: float
    bound: float
    unit: str = ""
    at_least: bool = True
    """Whether the bound is the least or the most that will do."""

    @property
    def reached(self) -> bool:
        """Whether the figure keeps to its bound."""
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one part of the bench found."""

    name: str
    title: str
    settings: str
    """What the consumer was set to, in words."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    goals: tuple[Goal, ...]
    details: dict[str, Any] = {}
    """Every figure of every round, for the JSON file."""


def say(words: str) -> None:
    """Tell how far it is, on standard error."""
    print(f"[{time.monotonic() - _started:6.1f} s] {words}", file=sys.stderr, flush=True)


def show(machine: Machine, parts: list[Part]) -> None:
    """Print the machine, a table for each part, and the goals."""
    console = Console(width=110, highlight=False)
    console.print("\n[bold]Machine[/]")
    for name, value in machine.lines():
        console.print(f"  {name:<10} {value}")
    for part in parts:
        table = Table(title=f"{part.name}: {part.title}", title_justify="left", box=None)
        for number, column in enumerate(part.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in part.rows:
            table.add_row(*row)
        console.print()
        console.print(table)
        console.print(f"[dim]{part.settings}[/]")
    goals = Table(title="Goals", title_justify="left", box=None)
    for column in ("part", "goal", "", "measured", "reached"):
        goals.add_column(column, justify="right" if column == "measured" else "left")
    for part in parts:
        for goal in part.goals:
            bound = f"{'>=' if goal.at_least else '<='} {goal.bound:g}{goal.unit}"
            reached = "[green]yes[/]" if goal.reached else "[red]no[/]"
            goals.add_row(part.name, goal.what, bound, f"{goal.figure:.3g}{goal.unit}", reached)
    console.print()
    console.print(goals)


def as_json(machine: Machine, parts: list[Part]) -> bytes:
    """All of it as one JSON object."""
    whole = {
        "machine": machine,
        "parts": [
            {
                **msgspec.to_builtins(part),
                "goals": [
                    {**msgspec.to_builtins(goal), "reached": goal.reached} for goal in part.goals
                ],
            }
            for part in parts
        ],
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2)
