"""What others reached, to put beside: the EmoLLMs' paper (KDD '24) on SemEval-2018's tests.

Of EI-reg and EI-oc the mean of Pearson's coefficient over anger, fear, joy and sadness; of V-reg
and V-oc Pearson's coefficient; of E-c Jaccard accuracy, micro- and macro-averaged F1.
"""

from __future__ import annotations

from typing import Final

import msgspec


class PublishedRow(msgspec.Struct, frozen=True):
    """One model's scores in the paper."""

    model: str
    ei_reg: float
    ei_oc: float
    v_reg: float
    v_oc: float
    e_c: tuple[float, float, float]


PUBLISHED: Final = (
    PublishedRow("Emollama-7b", 0.822, 0.743, 0.879, 0.843, (0.545, 0.695, 0.563)),
    PublishedRow("Emollama-chat-7b", 0.824, 0.751, 0.876, 0.827, (0.534, 0.693, 0.540)),
    PublishedRow("Emollama-chat-13b", 0.831, 0.763, 0.886, 0.860, (0.537, 0.696, 0.545)),
    PublishedRow("Emoopt-13b", 0.825, 0.753, 0.887, 0.843, (0.532, 0.680, 0.550)),
    PublishedRow("Emobloom-7b", 0.791, 0.732, 0.857, 0.822, (0.528, 0.683, 0.552)),
    PublishedRow("Emot5-large", 0.783, 0.717, 0.852, 0.836, (0.559, 0.712, 0.568)),
    PublishedRow("Emobart-large", 0.795, 0.725, 0.851, 0.835, (0.528, 0.686, 0.548)),
    PublishedRow("GPT-4 (zero-shot)", 0.656, 0.620, 0.811, 0.788, (0.444, 0.572, 0.497)),
    PublishedRow("ChatGPT (zero-shot)", 0.599, 0.455, 0.637, 0.748, (0.382, 0.546, 0.429)),
    PublishedRow("BERT-base, fine-tuned", 0.785, 0.683, 0.840, 0.805, (0.567, 0.718, 0.568)),
)
"""The paper's rows, as it prints them."""
