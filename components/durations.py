"""Durations as the Docker provider keeps them."""


def go_duration(seconds: int) -> str:
    """Return a duration as Go writes it (``1h0m0s``): any other spelling is a difference at every update."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
