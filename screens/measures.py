"""Times and sizes as people read them."""

from kvmwizard.words import _

MINUTE = 60
HOUR = 3600
MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30


def clock(seconds: float) -> str:
    """A duration as 0:31, or 1:02:03 from an hour on."""
    whole = max(int(seconds), 0)
    hours, minutes = divmod(whole // MINUTE, MINUTE)
    if hours:
        return f"{hours}:{minutes:02}:{whole % MINUTE:02}"
    return f"{minutes}:{whole % MINUTE:02}"


def about(seconds: float) -> str:
    """An expected duration, as roughly as it is known."""
    if seconds < MINUTE:
        return _("{seconds} s", seconds=max(round(seconds), 1))
    if seconds < HOUR:
        return _("{minutes} min", minutes=round(seconds / MINUTE))
    return _("{hours} h", hours=round(seconds / HOUR, 1))


def size(count: int) -> str:
    """A number of bytes, in the unit that suits it."""
    if count >= GIBIBYTE:
        return _("{number} GiB", number=round(count / GIBIBYTE, 1))
    return _("{number} MiB", number=max(round(count / MEBIBYTE), 1))
