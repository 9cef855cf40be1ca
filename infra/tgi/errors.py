"""What an engine may raise, and what keeps the server from starting."""


class EngineError(Exception):
    """Raised by an engine for one job; the client gets status 424 with its text."""


class PromptRefusedError(EngineError):
    """Raised by an engine for a prompt that it can never answer; the client gets status 422."""


class StartError(Exception):
    """The server can't start; the text says what to do about it."""
