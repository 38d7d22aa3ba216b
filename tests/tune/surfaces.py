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

    Attributes:
        start_s: Seconds until the server of other settings than the last ones is up, or fails to be.

    """

    start_s = 0.0

    def __init__(self, effects, *, noise=0.0, seed=0, took_s=3.0, broken=()):
        self.effects = effects
        self.noise = noise
        self.took_s = took_s
        self.up = None
        self.broken = broken
        self.now = 0.0
        self.measured = 0
        self.renewed = 0
        self._random = random.Random(seed)  # noqa: S311 -- noise, not secrets

    @property
    def grid(self):
        """Values by setting."""
        return {name: tuple(values) for name, values in self.effects.items()}

    def true_gain(self, settings):
        """Return the true gain of these settings, as a logarithm."""
        return sum(self.effects[name][value] for name, value in settings.items())

    def best_gain(self):
        """Return the true gain of the best settings of the grid."""
        return sum(max(0.0, *values.values()) for values in self.effects.values())

    def clock(self):
        """Return the seconds that passed."""
        return self.now

    def measure(self, settings, streams, left_s=math.inf):
        """Return one measurement."""
        self.measured += 1
        if settings != self.up:
            self.now += min(self.start_s, left_s)
            if settings in self.broken or self.start_s > left_s:
                return TunedReading(dict(settings), None, "it did not start")
            self.up = settings
            left_s -= self.start_s
        self.now += min(self.took_s, left_s)
        if self.took_s > left_s:
            return TunedReading(dict(settings), None, "the budget ended")
        speed = 50 * streams * math.exp(self.true_gain(settings) + self._random.gauss(0, self.noise))
        return TunedReading(dict(settings), speed, took_s=self.took_s)

    def renew(self):
        """Stop the server that is up."""
        self.renewed += 1
        self.up = None


class Interrupted(Surface):
    """A surface whose user presses Ctrl-C after some measurements."""

    def __init__(self, effects, *, after, **rest):
        super().__init__(effects, **rest)
        self.after = after

    def measure(self, settings, streams, left_s=math.inf):
        """Return one measurement, or be interrupted."""
        if self.measured == self.after:
            raise KeyboardInterrupt
        return super().measure(settings, streams, left_s)
