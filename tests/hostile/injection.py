"""The attacks against each family's prompts, as a table."""

from collections import Counter

from tests.hostile.attacks import ATTACKS
from tests.hostile.layouts import layouts
from tests.hostile.structure import QUESTIONS, Family


def report() -> tuple[str, bool]:
    """Markdown: what the posts break with and without the sanitizer; and whether it held."""
    aims = tuple(dict.fromkeys(attack.aim for attack in ATTACKS))
    lines = [
        f"| models | tokenizer | {' | '.join(aims)} | broken as they came | broken sanitized |",
        f"|---|---|{'---:|' * (len(aims) + 2)}",
    ]
    held = True
    for layout in layouts():
        family = Family(layout)
        raw = Counter(one.aim for one in ATTACKS if family.broken(one.text, sanitized=False))
        broken = sum(family.broken(one.text) is not None for one in ATTACKS)
        held = held and broken == 0
        by_aim = " | ".join(str(raw[aim]) for aim in aims)
        lines.append(
            f"| {layout.models} | {layout.name} | {by_aim} | {raw.total()} | **{broken}** |"
        )
    prompts = len(ATTACKS) * len(QUESTIONS)
    return "\n".join([*lines, "", f"{len(ATTACKS)} posts, {prompts} prompts a family", ""]), held
