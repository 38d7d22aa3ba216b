"""Configs of published models, and what is changed in them."""

import copy

from seatrial.catalog import find_model

DSPARK = {"dspark_target_layer_ids": [40, 41, 42], "dspark_markov_rank": 256, "dspark_block_size": 5}


def flash(**changes):
    """Return Flash's config with fields changed (None removes a field)."""
    config = {**copy.deepcopy(find_model("flash").config), **changes}
    return {name: value for name, value in config.items() if value is not None}


def pro(**changes):
    """Return Pro's config with fields changed."""
    return {**copy.deepcopy(find_model("pro").config), **changes}


def v41(**changes):
    """Return V4.1-Flash's config with fields changed."""
    return {**copy.deepcopy(find_model("v4.1-flash").config), **changes}
