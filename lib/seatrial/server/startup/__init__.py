"""Follows an engine from its start to its first answer, and reports each phase on the way."""
