"""Made-up machines: how fast each setting is, how noisy the machine, how long a measurement takes."""

import math
import random

from seatrial.launching.tuned import TunedReading


class Surface:
    """A bench on which every setting adds its part to the speed; a clock that only measuring moves.

    Args:
        effects: Logarithm of what each value of each setting does to the speed.
        noise: Scatter of one measurement.
        took_s: Seconds of one measurement.
        broken: Settings that never answer.

    """

    def __init__(self, effects, *, noise=0.0, seed=0, took_s=3.0, broken=()):
        self.effects = effects
        self.noise = noise
        self.took_s = took_s
        self.broken = broken
        self.now = 0.0
        self.measured = 0
        self.renewed = 0
        self._random = random.Random(seed)  # noqa: S311 -- noise, not secrets

    @property
    def grid(self):
        """Every value of every setting."""
        return {name: tuple(values) for name, values in self.effects.items()}

    def true_gain(self, settings):
        """What these settings really are worth, as a logarithm."""
        return sum(self.effects[name][value] for name, value in settings.items())

    def best_gain(self):
        """What the best settings of the grid are worth."""
        return sum(max(0.0, *values.values()) for values in self.effects.values())

    def clock(self):
        """Seconds."""
        return self.now

    def measure(self, settings, streams):
        """One measurement."""
        self.now += self.took_s
        self.measured += 1
        if settings in self.broken:
            return TunedReading(dict(settings), None, "it did not start", took_s=self.took_s)
        speed = 50 * streams * math.exp(self.true_gain(settings) + self._random.gauss(0, self.noise))
        return TunedReading(dict(settings), speed, took_s=self.took_s)

    def renew(self):
        """Servers that are started anew take no time here."""
        self.renewed += 1


class Interrupted(Surface):
    """A surface whose user presses Ctrl-C after some measurements."""

    def __init__(self, effects, *, after, **rest):
        super().__init__(effects, **rest)
        self.after = after

    def measure(self, settings, streams):
        """One measurement, or the end."""
        if self.measured == self.after:
            raise KeyboardInterrupt
        return super().measure(settings, streams)
