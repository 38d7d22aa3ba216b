"""Tells which choice of a stream is the answer: one is asked for, but some servers send several, or number the chunks."""

from __future__ import annotations


class OneChoice:
    """Choice whose tokens count: the first that brings any, or each in its turn if a choice's index counts the chunks."""

    __slots__ = ("_home", "_now", "_switches", "is_first", "several")

    def __init__(self) -> None:
        self._home: int | None = None  # index of the first tokens
        self._now: int | None = None  # index of the last tokens
        self._switches = 0  # to the next index, with each chunk
        self.is_first = True  # tokens of index 0 count
        self.several = False  # tokens of several answers came

    def take(self, index: int | None, chunks: int) -> int:
        """Take the index of a chunk with tokens; return how many chunks of the answer come before it.

        That is fewer than ``chunks``, those counted so far, if some turn out to be another answer's.
        """
        if index is None:
            return chunks
        if self._now is None:
            self._home = self._now = 0 if chunks else index
        if index != self._now or self._switches:
            if index > self._now and chunks == self._switches + 1 and not self.several:
                self._now = index
                self._switches += 1
            else:
                chunks = self.settle(chunks)
        self.is_first = self._now == 0
        return chunks

    def settle(self, chunks: int) -> int:
        """Note that several answers come, of which the first counts; return how many of the chunks so far are its own."""
        own = chunks - self._switches
        self.several, self._now, self._switches = True, self._home, 0
        return own

    def counts(self, index: int | None) -> bool:
        """Return True if what is said of a choice is said of the answer."""
        return not self.several or index is None or index == self._home
