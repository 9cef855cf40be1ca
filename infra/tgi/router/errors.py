"""The router's errors, and their one mapping to statuses and labels.

    InferError
    ├── InvalidRequestError  422 validation             this request can't be served
    ├── OverloadedError      429 overloaded             no permit left: come back later
    ├── GenerationError      424 generation             the engine failed
    ├── IncompleteError      500 incomplete_generation  the engine ended without an answer
    ├── TemplateError        422 template_error         no chat template
    ├── ToolError            422 tool_error             tools of a chat that can't be served
    ├── BatchSizeError       422 batch size exceeded    a completions list that is too long
    ├── SuffixError          422 suffix not supported   completions' `suffix`
    ├── UnhealthyError       503 healthcheck            answered by /health while the engine fails
    ├── VertexEmptyError     422 Input validation error a /vertex request without instances
    └── VertexError          500 Incomplete generation  any failure behind /vertex

Statuses, labels and wordings are those a TGI 3.3 router was recorded to answer.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class InferError(Exception):
    """A request that gets no answer; its text is the body's `error`."""

    status: ClassVar[int] = 500
    error_type: ClassVar[str] = "incomplete_generation"
    #: The `err` label of tgi_request_failure.
    label: ClassVar[str] = "incomplete"
    _prefix: ClassVar[str] = ""

    def __init__(self, message: str) -> None:
        super().__init__(self._prefix + message)

    def body(self) -> bytes:
        """The JSON body `{"error": …, "error_type": …}`."""
        return msgspec.json.encode({"error": str(self), "error_type": self.error_type})


class InvalidRequestError(InferError):
    """The request breaks a rule of `validation.py`."""

    status = 422
    error_type = "validation"
    label = "validation"
    _prefix = "Input validation error: "


class OverloadedError(InferError):
    """Every permit is out."""

    status = 429
    error_type = "overloaded"
    label = "overloaded"

    def __init__(self) -> None:
        super().__init__("Model is overloaded")


class GenerationError(InferError):
    """The engine raised."""

    status = 424
    error_type = "generation"
    label = "generation"
    _prefix = "Request failed during generation: Server error: "


class IncompleteError(InferError):
    """The engine returned without an answer for this request."""

    def __init__(self) -> None:
        super().__init__("Incomplete generation")


class TemplateError(InferError):
    """A chat was asked of a model without a chat template, as all EmoLLMs are."""

    status = 422
    error_type = "template_error"
    label = "template"

    def __init__(self) -> None:
        super().__init__("Template error: template not found")


class ToolError(InferError):
    """A chat's tools can't be served."""

    status = 422
    error_type = "tool_error"
    label = "tool"
    _prefix = "Tool error: "


class BatchSizeError(InferError):
    """A completions list longer than --max-client-batch-size."""

    status = 422
    error_type = "batch size exceeded"
    label = "validation"

    def __init__(self, limit: int) -> None:
        super().__init__(f"Number of prompts exceeds the maximum allowed batch size of {limit}")


class SuffixError(InferError):
    """Completions' `suffix`."""

    status = 422
    error_type = "suffix not supported"
    label = "validation"

    def __init__(self) -> None:
        super().__init__("Suffix is not supported and can be achieved by preprocessing the prompt.")


class VertexEmptyError(InferError):
    """A /vertex request without instances."""

    status = 422
    error_type = "Input validation error"
    label = "validation"

    def __init__(self) -> None:
        super().__init__("Input validation error")


class VertexError(InferError):
    """Any failure of one instance behind /vertex; TGI doesn't say which."""

    error_type = "Incomplete generation"

    def __init__(self) -> None:
        super().__init__("Incomplete generation")


class UnhealthyError(InferError):
    """The engine doesn't answer; on /health."""

    status = 503
    error_type = "healthcheck"

    def __init__(self) -> None:
        super().__init__("unhealthy")
