"""Turns a plan into a server on this machine: chosen, checked, launched; and the next plan when one fails."""

import lazy_loader

# A plan with tuned settings needs no launcher: that loads when it is used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
