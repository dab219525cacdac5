"""Time spans and sizes as people read them."""

from kvmwizard.words import Words, say, say_many

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BYTES_A_STEP = 1000


def span_words(seconds: float) -> Words:
    """As `3 hours`, in the largest unit of which it is at least one and a half."""
    if seconds < 1.5 * MINUTE:
        return say_many("{count} second", "{count} seconds", max(1, round(seconds)))
    if seconds < 1.5 * HOUR:
        return say_many("{count} minute", "{count} minutes", round(seconds / MINUTE))
    if seconds < 1.5 * DAY:
        return say_many("{count} hour", "{count} hours", round(seconds / HOUR))
    return say_many("{count} day", "{count} days", round(seconds / DAY))


def size_words(size: int) -> Words:
    """As `92 MB`, in the decimal units that apt and df -H use."""
    if size < BYTES_A_STEP**2:
        return say("{size} kB", size=max(1, round(size / BYTES_A_STEP)) if size else 0)
    if size < BYTES_A_STEP**3:
        return say("{size} MB", size=round(size / BYTES_A_STEP**2))
    return say("{size} GB", size=f"{size / BYTES_A_STEP**3:.1f}")
