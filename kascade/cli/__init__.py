"""The command line: one file per command, which parses, calls and prints.

Nothing here may import torch or another heavy package before a command runs: `kascade --help` must be quick.
"""

__all__: list[str] = []
