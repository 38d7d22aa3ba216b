"""The measuring client: a process of its own that sends the load and times the answers."""
