"""Plots of plans and measurements, each made of a chart."""
