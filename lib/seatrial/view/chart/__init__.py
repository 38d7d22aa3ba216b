"""Charts as data, and their drawing as SVG or plotly."""
