from seatrial.view.catalog_tables import checkpoints_table, models_table
from seatrial.view.chart import Chart, Series
from seatrial.view.charts import memory_over_time_chart, throughput_chart, tokens_chart, ttft_chart
from seatrial.view.command_text import show_command
from seatrial.view.explorer import plan_explorer
from seatrial.view.fit_lines import fit_chart
from seatrial.view.fit_tables import table_fits
from seatrial.view.gpu_bars import gpu_memory_chart
from seatrial.view.hardware_tables import table_host
from seatrial.view.lesson_tables import (
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
from seatrial.view.live import LivePlot
from seatrial.view.measure_tables import table_measurement, table_self_check
from seatrial.view.memory_tables import caches_table, footprint_table, weights_table
from seatrial.view.other_tools import table_other_tools
from seatrial.view.panel import load_panel
from seatrial.view.plan_bars import memory_chart
from seatrial.view.plan_tables import table_plan_memory, table_plan_reasons, table_plan_speed
from seatrial.view.plotly_chart import show_chart, to_plotly
from seatrial.view.report import write_report
from seatrial.view.server_tables import table_servers
from seatrial.view.server_views import show_log, show_reply, show_server, show_stopped, table_scripted_failure
from seatrial.view.startup import startup_panel
from seatrial.view.svg import to_svg
from seatrial.view.table import Table
from seatrial.view.untrusted import PlainText

__all__ = [
    "Chart",
    "LivePlot",
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
    "table_other_tools",
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
