"""Versions a run was made with, for its record."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = (
    "aiohttp", "anywidget", "httptools", "ipykernel", "ipywidgets", "llama-cpp-python", "mlx-vlm", "nbclient", "nvidia-ml-py",
    "papermill", "plotly", "sglang", "uvloop", "vllm", "xllamacpp",
)  # fmt: skip


def versions() -> dict[str, Any]:
    """Return the versions of Python, the system and the installed packages that matter."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "system": platform.platform(terse=True), "packages": packages}
