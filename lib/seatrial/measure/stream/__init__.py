"""Reads the stream of one answer: events, chunks, times, and the token counts that can be believed."""
