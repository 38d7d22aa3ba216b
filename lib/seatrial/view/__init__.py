"""Everything a person looks at: tables, plots, live panels, the report."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Loaded when first used: a table for the terminal must not wait for plotly.
# Types and completion come from __init__.pyi.
_PLACES = {
    "Chart": "chart",
    "LivePlot": "live",
    "PlainText": "untrusted",
    "Series": "chart",
    "Table": "table",
    "caches_table": "memory_tables",
    "checkpoints_table": "catalog_tables",
    "default_checkpoints": "lesson_tables",
    "fit_chart": "fit_lines",
    "footprint_table": "memory_tables",
    "gpu_memory_chart": "gpu_bars",
    "load_panel": "panel",
    "memory_chart": "plan_bars",
    "memory_over_time_chart": "charts",
    "models_table": "catalog_tables",
    "plan_explorer": "explorer",
    "show_accelerators": "lesson_tables",
    "show_chart": "plotly_chart",
    "show_command": "command_text",
    "show_log": "server_views",
    "show_problems": "lesson_tables",
    "show_reply": "server_views",
    "show_server": "server_views",
    "show_stopped": "server_views",
    "startup_panel": "startup",
    "table_command": "lesson_tables",
    "table_contexts": "lesson_tables",
    "table_fits": "fit_tables",
    "table_host": "hardware_tables",
    "table_measurement": "measure_tables",
    "table_named": "lesson_tables",
    "table_other_tools": "other_tools",
    "table_plan_memory": "plan_tables",
    "table_plan_reasons": "plan_tables",
    "table_plan_speed": "plan_tables",
    "table_plans": "lesson_tables",
    "table_precisions": "lesson_tables",
    "table_prediction": "lesson_tables",
    "table_scripted_failure": "server_views",
    "table_self_check": "measure_tables",
    "table_servers": "server_tables",
    "table_traffic": "lesson_tables",
    "throughput_chart": "charts",
    "to_plotly": "plotly_chart",
    "to_svg": "svg",
    "tokens_chart": "charts",
    "ttft_chart": "charts",
    "weights_table": "memory_tables",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"seatrial.view.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'seatrial.view' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
