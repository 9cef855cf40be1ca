"""Asking an EmoLLM: tasks, prompts, answers, models, and the servers that run them."""

from emollm.bands import intensity_class, valence_class
from emollm.canary import CANARIES, Canary, canaries_for
from emollm.custom import PRESETS, CustomTask
from emollm.models import MODELS, ModelCard, UnknownModel, describe_model, find_model
from emollm.prompts import PreparedText, PromptBuilder, Wrapper, is_blank
from emollm.readers import Unreadable, Value
from emollm.tasks import E_C, EI_OC, EI_REG, TASKS, V_OC, V_REG, Task
from schemas import EMOTIONS, INTENSITY_EMOTIONS

__all__ = [
    "CANARIES",
    "EI_OC",
    "EI_REG",
    "EMOTIONS",
    "E_C",
    "INTENSITY_EMOTIONS",
    "MODELS",
    "PRESETS",
    "TASKS",
    "V_OC",
    "V_REG",
    "Canary",
    "CustomTask",
    "ModelCard",
    "PreparedText",
    "PromptBuilder",
    "Task",
    "UnknownModel",
    "Unreadable",
    "Value",
    "Wrapper",
    "canaries_for",
    "describe_model",
    "find_model",
    "intensity_class",
    "is_blank",
    "valence_class",
]
