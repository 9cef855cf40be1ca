"""What stops an export: ExportError, and below it

WrongFolder     the folder holds something else; another one has to be named
FolderBusy      another export writes there
FolderFailed    the disk is full, or the folder can't be written
ValuesFramed    values are framed by a schema registry that isn't configured
"""  # noqa: D415 - ends with a tree


class ExportError(Exception):
    """An export can't go on. The message says what to do; what was written before is whole."""


class WrongFolder(ExportError):  # noqa: N818 - says what it is
    """The folder belongs to another export."""

    exit_code = 2


class FolderBusy(ExportError):  # noqa: N818 - likewise
    """Another process is exporting there."""


class FolderFailed(ExportError):  # noqa: N818 - likewise
    """The operating system refused to write."""


class ValuesFramed(ExportError):  # noqa: N818 - likewise
    """The topic's values are framed by a schema registry, and none is configured."""

    exit_code = 2
