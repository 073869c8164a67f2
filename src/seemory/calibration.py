"""What a cosine is worth: a score between 0 and 1, for one encoder and one direction.

Raw cosines mean different things for each encoder and direction: a right caption may lie at 0.3 where two unrelated
photographs lie at 0.5. The score is therefore the posterior of "right pair" against "unrelated pair" under two normal
distributions of equal variance whose parameters were measured for the encoder (linear discriminant analysis, e.g.
Hastie, Tibshirani & Friedman, 2009, section 4.3), with equal priors. It keeps the cosine's order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from seemory.types import CosineStatistics


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns a cosine into a score between 0 and 1, and back."""

    statistics: CosineStatistics

    @property
    def slope(self) -> float:
        """How fast the log-odds of "right pair" grow with the cosine."""
        s = self.statistics
        variance = (s.background_std**2 + s.match_std**2) / 2
        return (s.match_mean - s.background_mean) / max(variance, 1e-9)

    @property
    def middle(self) -> float:
        """The cosine at which right and unrelated are equally likely."""
        return (self.statistics.match_mean + self.statistics.background_mean) / 2

    def score(self, cosine: float) -> float:
        """The probability of "right pair" at this cosine."""
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, self.slope * (cosine - self.middle)))))

    def cosine(self, score: float) -> float:
        """The cosine that gives this score: -1 for scores of 0 and below, above 1 for scores above 1."""
        if score <= 0.0:
            return -1.0
        if score >= 1.0:
            return 1.0 if score == 1.0 else 2.0
        return self.middle + math.log(score / (1.0 - score)) / self.slope

    def sigmas(self, cosine: float) -> float:
        """How many standard deviations above unrelated pairs the cosine lies."""
        return (cosine - self.statistics.background_mean) / max(self.statistics.background_std, 1e-9)
