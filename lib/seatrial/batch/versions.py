"""Which versions a run was made with, for its record."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = (
    "anywidget", "aiohttp", "ipykernel", "ipywidgets", "llama-cpp-python", "mlx-lm", "nbclient", "nvidia-ml-py",
    "papermill", "plotly", "sglang", "uvloop", "vllm", "xllamacpp",
)  # fmt: skip


def versions() -> dict[str, Any]:
    """Versions of Python, the system and the packages that matter; those not installed are left out."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), "system": platform.platform(terse=True), "packages": packages}
