"""The instructions the EmoLLMs were trained and benchmarked on, byte for byte.

They are part of the models' interface: another wording is another question. Source: the AEB and
AAID sets of lzw1008/EmoLLMs (HEAD 0c748d8), as recorded in `wordings.json` beside this file: for
each task its layout and its wordings, the most used in the benchmark first. The five trained tasks
have ten each; the others are the paper's zero-shot tasks, with one to three.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Final

import msgspec


class TaskWordings(msgspec.Struct, frozen=True):
    """How one task is put to a model."""

    layout: str
    """The one-line instruction with `{wording}`, `{text}` and, where asked, `{emotion}`."""
    wordings: tuple[str, ...]
    """What may stand for `{wording}`; all ask the same."""


WORDINGS: Final[Mapping[str, TaskWordings]] = msgspec.json.decode(
    resources.files("emollm").joinpath("wordings.json").read_bytes(),
    type=dict[str, TaskWordings],
)
"""Task name → its wordings: EI-reg, EI-oc, V-reg, V-oc, E-c; V-T, Emobank, SST, SST5, TDT,
GoEmotions (zero-shot; V-T means all of VADER's four sets, Emobank's three wordings ask
valence, arousal and dominance)."""
