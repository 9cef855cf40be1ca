"""Which model answers, what it is asked, and what is remembered of it."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
from pydantic import Field, model_validator

from consumer.settings._second import Second
from consumer.settings._servers import ModelServers
from emollm.custom import PRESETS, CustomTask
from emollm.tasks import E_C, EI_OC, EI_REG, V_OC, V_REG, Task
from runtime.settings.section import Section
from runtime.settings.wording import plain_msgspec


class Model(ModelServers):
    """The model servers: all of them serve the same model."""

    servers: Annotated[tuple[str, ...], Field(min_length=1)] = ("http://localhost:3000",)
    """Base URLs of the model servers; they share the load."""
    wait_s: Annotated[float, Field(ge=0)] = 0.0
    """Seconds to wait at start for a first server to answer; 0 means without end."""
    second: Second = Second()

    @model_validator(mode="after")
    def _two_models(self) -> Self:
        if self.places() & self.second.places():
            raise ValueError("second.servers: one is among model.servers: it is the first model's")
        return self


class Tasks(Section):
    """What the model is asked about a post. The defaults are the whole profile at least cost."""

    v_reg: bool = True
    """Ask for valence, 0 to 1 (`sentiment.valence`)."""
    v_oc: Literal["derive", "ask", "off"] = "derive"
    """Valence class, -3 to 3 (`sentiment.class`): derived from valence, or asked for."""
    e_c: bool = True
    """Ask which emotions are present (`emotions`)."""
    ei_reg: bool = True
    """Ask for the intensity of anger, fear, joy and sadness, 0 to 1 (`intensity`)."""
    ei_oc: Literal["derive", "ask", "off"] = "derive"
    """Intensity class, 0 to 3 (`intensity_class`): derived from intensity, or asked for."""
    ei_emotions: Literal["cascade", "all"] = "cascade"
    """Intensity of the emotions that E-c found only, or of all four."""
    custom: tuple[dict[str, Any], ...] = ()
    """Tasks of your own, tables `[[tasks.custom]]`: name, wordings, and choices or grammar."""

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if self.v_oc == "derive" and not self.v_reg:
            raise ValueError('v_oc = "derive" needs v_reg = true; or set v_oc to "ask" or "off"')
        if self.ei_oc == "derive" and not self.ei_reg:
            raise ValueError('ei_oc = "derive" needs ei_reg = true; or set ei_oc to "ask" or "off"')
        intensity = self.ei_reg or self.ei_oc == "ask"
        if intensity and self.ei_emotions == "cascade" and not self.e_c:
            raise ValueError(
                'ei_emotions = "cascade" needs e_c = true; or set ei_emotions = "all", or'
                ' ei_reg = false and ei_oc = "off"'
            )
        asked = self.v_reg or self.v_oc == "ask" or self.e_c or intensity or self.custom
        if not asked:
            raise ValueError("no task is on: the model would be asked nothing")
        names = [task.name.lower() for task in self.custom_tasks()]
        if len(set(names)) < len(names):
            raise ValueError("custom: two tasks have the same name")
        return self

    def asked(self) -> frozenset[str]:
        """Names of the tasks that posts are asked, those of one's own included."""
        on = {
            V_REG.name: self.v_reg,
            V_OC.name: self.v_oc == "ask",
            E_C.name: self.e_c,
            EI_REG.name: self.ei_reg,
            EI_OC.name: self.ei_oc == "ask",
        }
        return frozenset(name for name, is_on in on.items() if is_on) | {
            task.name for task in self.custom_tasks()
        }

    def custom_tasks(self) -> tuple[Task, ...]:
        """Make the custom tasks; `{preset = "V-T"}` names one of the paper's zero-shot tasks."""
        return tuple(_custom_task(table) for table in self.custom)


def _custom_task(table: dict[str, Any]) -> Task:
    if set(table) == {"preset"}:
        preset = PRESETS.get(str(table["preset"]))
        if preset is None:
            raise ValueError(f"custom: preset must be one of {', '.join(PRESETS)}")
        return preset.task()
    try:
        return msgspec.convert(table, CustomTask).task()
    except msgspec.ValidationError as error:
        why = plain_msgspec(str(error), CustomTask.__struct_fields__)
        raise ValueError(f"custom task {table.get('name', '')!r}: {why}") from None


class Cache(Section):
    """Answers that are remembered: the same text is asked once."""

    removed: ClassVar[Mapping[str, str]] = {
        "max_bytes": "use cache.max_entries; an answer takes 200 to 350 bytes",
        "ttl_s": "answers don't age, decoding is greedy; a restart empties the cache",
    }

    max_entries: Annotated[int, Field(ge=0)] = 100_000
    """Answers kept at most, about 35 MB for 100,000; 0 turns the cache off (texts in flight are
    still asked once)."""
