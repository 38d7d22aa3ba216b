"""Inert modules in place of triton and torchvision, which SGLang imports for its kernels and never calls here.

Both exist for GPUs only in the versions that fit, several hundred megabytes each. Whatever is taken from them is
a module, a class or a decorator that does nothing.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

INERT = frozenset({"triton", "torchvision"})


class Inert(ModuleType):
    """A module, decorator or constant that does nothing; capitalised names are classes."""

    __path__: Sequence[str] = ()

    __version__ = "3.8.0"
    """SGLang takes another way with a triton below 3."""

    def __getattr__(self, name: str) -> Any:
        """Any name but Python's own; a driver there is none, as for the real triton on a machine without GPUs."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "active":
            raise RuntimeError("0 active drivers")
        if name[0].isupper():
            return type(name, (), {"__init__": lambda *_, **__: None})
        return Inert(f"{self.__name__}.{name}")

    def __call__(self, *given: Any, **_: Any) -> Any:
        """Return the decorated function unchanged."""
        return given[0] if given and callable(given[0]) else self


class Finder(MetaPathFinder, Loader):
    """Finds the inert modules before any other finder looks."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:  # noqa: ARG002 -- the signature of a finder
        """Return the spec of an inert module, None for every other module."""
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in INERT else None

    def create_module(self, spec: ModuleSpec) -> Inert:
        """Return an empty module."""
        return Inert(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


def install() -> None:
    """Put the inert modules in place, after transformers has seen that there is no torchvision."""
    from transformers.utils import import_utils  # only in SGLang's environment

    import_utils.is_torchvision_available()  # remembers its answer
    sys.meta_path.insert(0, Finder())
