"""Plans for exactly the machine and checkpoint of a recipe."""

from seatrial.catalog import find_checkpoint, model_of
from seatrial.hardware import detect_hardware
from seatrial.plan import make_plan
from seatrial.plan.candidate import Candidate
from seatrial.plan.gpu_server.trial import try_layouts
from seatrial.plan.request import Request
from seatrial.plan.vendor.recipes import find_cells


def choices_of(cell, **choices):
    """Return what a person asks for to get this recipe."""
    return {
        "checkpoint": cell.checkpoint,
        "hardware": detect_hardware(f"{cell.accelerator}x{cell.gpus_per_node}"),
        "nodes": cell.nodes,
        "engine": cell.engine,
        "objective": cell.objective,
        **choices,
    }


def chosen_for(cell, **choices):
    """Return the plan that a person gets there: this recipe's, or that of one which comes before it."""
    return make_plan(**choices_of(cell, **choices))


def plan_of_cell(cell, **choices):
    """Return the plan that follows this very recipe, as it is ranked among the alternatives."""
    given = choices_of(cell, **choices)
    row = find_checkpoint(given.pop("checkpoint"))
    candidate = Candidate(model_of(row), row, cell.engine, Request(given.pop("hardware"), checkpoint=row, **given))
    return next(trial for trial in try_layouts(candidate) if trial.memory.layout.cell is cell).plan()


def comes_first(cell):
    """Return True if no other recipe for its place comes before this one."""
    row = find_checkpoint(cell.checkpoint)
    found = find_cells(cell.engine, row, cell.accelerator, cell.objective)
    return (
        next(other for other in found if other.nodes <= cell.nodes and other.gpus_per_node <= cell.gpus_per_node)
        is cell
    )
