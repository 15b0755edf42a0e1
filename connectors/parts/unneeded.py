"""Memory that a connector's process does not need: what it never uses of a library, and what its start has freed."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import cast

#: httpx's command line program, with click, rich and pygments where those are installed: 4 MB. httpx does without:
#: https://github.com/encode/httpx/blob/master/httpx/__init__.py
HTTPX_PROGRAM = "httpx._main"


@contextmanager
def unneeded(*names: str) -> Iterator[None]:
    """In the block these modules cannot be imported (ImportError), unless they are imported already.

    For imports that do without; https://docs.python.org/3/reference/import.html#the-module-cache
    """
    modules = cast(MutableMapping[str, object], sys.modules)
    kept_out = [name for name in names if name not in modules]
    for name in kept_out:
        modules[name] = None
    try:
        yield
    finally:
        for name in kept_out:
            modules.pop(name, None)


def give_back() -> None:
    """Return to the system what imports and the first requests have used and freed: 0.2 to 0.4 MB.

    malloc_trim(3), of glibc; where there is none, nothing happens.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
