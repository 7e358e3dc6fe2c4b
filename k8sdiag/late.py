"""Modules that may be imported at once and are loaded when something of them is used.

importlib's own LazyLoader loads a module already when a second one imports it.
"""

import importlib
import sys
import threading
from types import ModuleType


class Late(ModuleType):
    """Stands in for a module until an attribute of it is asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._lock = threading.RLock()

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__"):  # the import system's own questions
            raise AttributeError(attribute)
        with self._lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
            return getattr(importlib.import_module(self.__name__), attribute)


def load_when_used(name: str) -> None:
    """Who imports the module from now on does not load it yet; nothing if it is loaded."""
    sys.modules.setdefault(name, Late(name))
