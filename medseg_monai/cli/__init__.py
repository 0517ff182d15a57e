"""The `medseg` command: a file per command or group of commands, put together in `app`."""

from medseg_monai.cli.app import main

__all__ = ["main"]
