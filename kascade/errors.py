"""The errors that Kascade raises: what was wrong, where, what was expected, what to do.

Every room may import this file; it imports nothing.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "FileFormatError",
    "KascadeError",
    "MissingExtraError",
    "OutputError",
    "ShapeError",
]


class KascadeError(Exception):
    """Base of every error that Kascade raises on purpose; `str(error)` is one line for the user."""


class FileFormatError(KascadeError):
    """A file cannot be read: absent, truncated, of an unknown layout, or with content that makes no sense."""


class ShapeError(KascadeError, ValueError):
    """A tensor does not fit: names the operator or argument, both shapes and the axis."""


class ConfigError(KascadeError, ValueError):
    """An option or argument has a value that cannot work."""


class OutputError(KascadeError):
    """A result cannot be written: it exists already, or the disk is full or read-only."""


class MissingExtraError(KascadeError, ImportError):
    """An optional package is needed.

    Parameters
    ----------
    package : str
        Name of the missing package as imported.
    extra : str
        The extra of Kascade that installs it.
    purpose : str
        What it is needed for.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install 'kascade[{extra}]'")
