"""A second, smaller model beside the model: what it is asked, and when it answers alone."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from consumer.settings._servers import ModelServers


class Second(ModelServers):
    """A second, smaller model beside the model (docs/second-opinion.md). No servers, no second."""

    section: ClassVar[str] = "model.second"

    timeout_s: Annotated[float, Field(gt=0, le=600)] = 5.0
    """Seconds one prompt may take, queueing on the server included."""
    weight: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Its share of the scores (V-reg, EI-reg); the rest is the first model's."""
    second_tasks: tuple[str, ...] = ("E-c",)
    """Tasks that it is asked alone, without the first model."""
    late_after_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Seconds a post waits for it once the first model has answered; then the first's counts."""
    on_outage: Literal["wait", "second"] = "wait"
    """While no server of the first model is available: posts wait, or it answers alone."""
    shed_above_age_s: Annotated[float, Field(ge=0)] = 0.0
    """Age of answered posts, seconds, near which the second reads part of them alone; 0 never."""

    @model_validator(mode="after")
    def _of_use(self) -> Self:
        if self.servers and not self.weight and not self.second_tasks:
            raise ValueError("weight = 0 and no second_tasks: the second would be asked nothing")
        return self
