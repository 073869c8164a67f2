"""Where the figures and the sums of 597 photographs lie. Written by benchmarks/dimension_scales.py.

The photographs are those of COCO val2017, Flickr8k and ImageNet that have 384 pixels on their longer side.
"""

from typing import Final

# fmt: off
TENTHS: Final[dict[str, tuple[float, float, float]]] = {
    "air": (-0.4168, 0.03345, 0.4822),
    "askew": (0.1154, 0.6232, 1.946),
    "attention_gathered": (0.3189, 0.3802, 0.4942),
    "black_share": (5.312e-05, 0.01789, 0.1662),
    "coarse_detail": (2.138, 2.545, 3.069),
    "colour_apart": (0.115, 0.3104, 0.7285),
    "colour_quiet": (0.8782, 0.9589, 0.9924),
    "colourfulness": (14.86, 35.22, 66.81),
    "detail_apart": (1.258, 1.584, 2.378),
    "drama": (10.27, 16.14, 23.86),
    "fine_detail": (1.623, 1.878, 2.217),
    "lighter_above": (-15.21, 2.036, 20.52),
    "lines_level": (0.2975, 0.5905, 0.7883),
    "lines_meeting": (0.01077, 0.02244, 0.04202),
    "lines_to_subject": (0.4112, 0.8117, 1.276),
    "medium_detail": (1.892, 2.186, 2.612),
    "near_thirds": (0.3317, 0.4371, 0.5379),
    "off_centre": (0.008479, 0.0529, 0.1427),
    "off_harmony": (3.196, 6.247, 11.04),
    "off_middle": (1.925, 11.1, 28.9),
    "off_middle_height": (0.01846, 0.07932, 0.2037),
    "planes": (1.769, 2.115, 2.892),
    "prompts": (0.3272, 0.4484, 0.6928),
    "pull_to_edge": (0.4735, 0.6808, 0.8596),
    "tonal_range": (48.49, 69.33, 88.15),
    "tones_used": (4.342, 5.102, 5.42),
    "unequal_sides": (0.08112, 0.1482, 0.2788),
    "white_share": (0.0, 0.002406, 0.05405),
}
"""Of each figure: the lower tenth, the median and the upper tenth."""

SUMS: Final[dict[str, tuple[float, float, float, float, float]]] = {
    "composition": (-0.595, -0.218, 0.013, 0.243, 0.589),
    "lighting": (-0.701, -0.167, 0.039, 0.234, 0.427),
    "focus_sharpness": (-0.886, -0.433, -0.009, 0.36, 0.907),
    "color_harmony": (-0.93, -0.416, 0.02, 0.473, 0.905),
    "subject_isolation": (-0.837, -0.451, -0.057, 0.354, 0.93),
    "depth_perspective": (-0.611, -0.224, 0.014, 0.234, 0.538),
    "visual_balance": (-0.883, -0.367, 0.094, 0.455, 0.759),
    "emotional_impact": (-0.515, -0.201, 0.008, 0.218, 0.547),
}
"""Of each dimension: the sums of the 5th, 25th, 50th, 75th and 95th of a hundred photographs."""
