"""Times in a film as players show them."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss`; part of a second is cut off."""
    whole = max(0, int(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
