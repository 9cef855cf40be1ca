"""What is to be known of the model behind the servers before it is asked."""

from pathlib import PurePath

from consumer.settings import ModelServers
from emollm.models import FAMILIES, ModelCard, UnknownModel, describe_model, find_model, serving_on
from emollm.prompts import PromptBuilder
from emollm.protocol import ServerInfo
from emollm.tasks import Task

_DECODER = "llama"
"""Stands for every decoder-only family: what matters here is how long a prompt may be."""


def describe(options: ModelServers, info: ServerInfo) -> ModelCard:
    """Find the model's card: as it is configured, else by its name, else as its server tells.

    A configured wrapper goes over the table. Without a family it is taken for a decoder alone, as
    what TGI and vLLM serve is; only our own server serves the others well, and it tells.

    Raises:
        emollm.models.UnknownModel: nothing says it; the message says what to configure.
    """
    name = options.name or info.model_id
    short = PurePath(name).name or name  # it may be a folder of the server's
    if options.wrapper:
        told = info.family if info.family in FAMILIES else None
        family = options.family or told or _DECODER
        return describe_model(short, family=family, wrapper=options.wrapper)
    try:
        return find_model(name)
    except UnknownModel:
        if info.family is None or info.wrapper is None:
            raise
        try:
            return describe_model(short, family=info.family, wrapper=info.wrapper)
        except ValueError as error:
            raise UnknownModel(f"what the server says of {name!r}: {error}") from error


def sends_by_length(options: ModelServers, info: ServerInfo) -> bool:
    """Whether prompts of similar length are sent together: configured, else as the table says."""
    if options.length_buckets != "auto":
        return options.length_buckets == "on"
    try:
        entry = serving_on(describe(options, info), info)
    except UnknownModel:
        return False
    return entry is not None and entry.pads


def max_input_tokens(
    options: ModelServers, card: ModelCard, info: ServerInfo, tasks: list[Task]
) -> int:
    """Tokens a prompt may have: the least that configuration, model and server allow."""
    longest_answer = max(task.max_new_tokens for task in tasks)
    limits = [card.max_input_tokens]
    if options.max_input_tokens:
        limits.append(options.max_input_tokens)
    if info.max_input_tokens is not None:
        limits.append(info.max_input_tokens)
    if info.max_total_tokens is not None:
        limits.append(info.max_total_tokens - longest_answer)
    return min(limits)


def make_builder(options: ModelServers, info: ServerInfo, tasks: tuple[Task, ...]) -> PromptBuilder:
    """Make what builds the prompts of these tasks for the model that `info` tells of.

    Raises:
        emollm.models.UnknownModel: not in the table, nor in the configuration.
        ValueError: its limits leave no room for a post; the message says what to raise.
    """
    card = describe(options, info)
    return PromptBuilder(
        tasks,
        wrapper=card.wrapper,
        max_input_tokens=max_input_tokens(options, card, info, list(tasks)),
        grammar=options.grammar,
        instruction_budget=card.instruction_budget,
    )
