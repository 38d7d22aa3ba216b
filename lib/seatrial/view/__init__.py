"""Everything a person looks at: tables, plots, live panels, the report."""

import lazy_loader

# A table for the terminal must not wait for plotly. The names stand in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
