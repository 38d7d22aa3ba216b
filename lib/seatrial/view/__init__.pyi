from .chart.chart import Chart, show_chart
from .chart.data import Series
from .chart.plotly import to_plotly
from .chart.svg import to_svg
from .notebook.explorer import plan_explorer
from .notebook.load_panel import load_panel
from .notebook.servers import show_log, show_reply, show_server, show_stopped, table_scripted_failure
from .notebook.startup import startup_panel
from .plots.fits import fit_chart
from .plots.gpu_memory import gpu_memory_chart
from .plots.measurements import memory_over_time_chart, throughput_chart, tokens_chart, ttft_chart
from .plots.plan_memory import memory_chart
from .report.page import write_report
from .tables.catalog import checkpoints_table, models_table
from .tables.commands import show_command
from .tables.fits import table_fits
from .tables.hardware import show_bandwidth, table_host
from .tables.lessons import (
    default_checkpoints,
    show_accelerators,
    show_problems,
    table_command,
    table_contexts,
    table_named,
    table_plans,
    table_precisions,
    table_prediction,
    table_traffic,
)
from .tables.measurements import table_measurement, table_self_check
from .tables.memory import caches_table, footprint_table, weights_table
from .tables.plans import table_plan_memory, table_plan_reasons, table_plan_speed
from .tables.servers import table_servers
from .tables.table import Table
from .untrusted import PlainText

__all__ = [
    "Chart",
    "PlainText",
    "Series",
    "Table",
    "caches_table",
    "checkpoints_table",
    "default_checkpoints",
    "fit_chart",
    "footprint_table",
    "gpu_memory_chart",
    "load_panel",
    "memory_chart",
    "memory_over_time_chart",
    "models_table",
    "plan_explorer",
    "show_accelerators",
    "show_bandwidth",
    "show_chart",
    "show_command",
    "show_log",
    "show_problems",
    "show_reply",
    "show_server",
    "show_stopped",
    "startup_panel",
    "table_command",
    "table_contexts",
    "table_fits",
    "table_host",
    "table_measurement",
    "table_named",
    "table_plan_memory",
    "table_plan_reasons",
    "table_plan_speed",
    "table_plans",
    "table_precisions",
    "table_prediction",
    "table_scripted_failure",
    "table_self_check",
    "table_servers",
    "table_traffic",
    "throughput_chart",
    "to_plotly",
    "to_svg",
    "tokens_chart",
    "ttft_chart",
    "weights_table",
    "write_report",
]
