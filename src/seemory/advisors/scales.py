"""Where the figures and the sums of 295 photographs lie. Written by benchmarks/dimension_scales.py.

The photographs are those of COCO val2017, Flickr8k and ImageNet that have 384 pixels on their longer side
and whose SHA-256 begins with a bit of 0; those that begin with 1 are for the proof.
"""

from typing import Final

# fmt: off
TENTHS: Final[dict[str, tuple[float, float, float]]] = {
    "air": (-0.4075, 0.04155, 0.5807),
    "askew": (0.1528, 0.8051, 2.459),
    "attention_gathered": (0.312, 0.3675, 0.4727),
    "black_share": (2.77e-05, 0.02291, 0.166),
    "coarse_detail": (2.174, 2.666, 3.286),
    "colour_apart": (0.1189, 0.3111, 0.6732),
    "colour_quiet": (0.861, 0.939, 0.99),
    "colourfulness": (18.14, 34.94, 66.38),
    "detail_apart": (1.124, 1.298, 1.66),
    "drama": (10.6, 16.17, 23.85),
    "fine_detail": (1.745, 1.988, 2.344),
    "lighter_above": (-15.21, 2.591, 21.08),
    "lines_level": (0.3182, 0.4871, 0.6746),
    "lines_meeting": (0.01402, 0.02833, 0.04948),
    "lines_to_subject": (0.4328, 0.7851, 1.335),
    "medium_detail": (1.94, 2.259, 2.663),
    "near_thirds": (0.3712, 0.4451, 0.5387),
    "off_centre": (0.01533, 0.08817, 0.283),
    "off_harmony": (4.22, 6.739, 11.25),
    "off_middle": (2.476, 11.36, 27.8),
    "off_middle_height": (0.02352, 0.1395, 0.3356),
    "planes": (1.805, 2.23, 2.952),
    "prompts": (0.3264, 0.4436, 0.6868),
    "pull_to_edge": (0.4699, 0.638, 0.7855),
    "sharp_apart": (0.9364, 1.028, 1.121),
    "tonal_range": (43.94, 63.82, 85.71),
    "tones_used": (4.315, 5.026, 5.364),
    "unequal_sides": (0.1553, 0.2833, 0.5428),
    "white_share": (0.0, 0.001703, 0.0525),
}
"""Of each figure: the lower tenth, the median and the upper tenth."""

SUMS: Final[dict[str, tuple[float, float, float, float, float]]] = {
    "composition": (-0.721, -0.213, 0.005, 0.255, 0.549),
    "lighting": (-0.636, -0.155, 0.042, 0.222, 0.411),
    "focus_sharpness": (-0.898, -0.395, 0.029, 0.42, 0.925),
    "color_harmony": (-0.872, -0.421, 0.012, 0.555, 0.94),
    "subject_isolation": (-0.746, -0.423, -0.052, 0.296, 0.937),
    "depth_perspective": (-0.707, -0.247, 0.005, 0.268, 0.628),
    "visual_balance": (-0.922, -0.335, 0.101, 0.481, 0.743),
    "emotional_impact": (-0.601, -0.236, 0.028, 0.248, 0.533),
}
"""Of each dimension: the sums of the 5th, 25th, 50th, 75th and 95th of a hundred photographs."""
