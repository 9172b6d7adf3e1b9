"""What a test may be called."""

import re


def names_the_hour(name: str, now: float) -> bool:
    """Whether a test's name holds a time within a day of `now` (epoch seconds): it changes with the clock.

    Two workers collect a second apart; they must find the same names.
    """
    return any(abs(int(digits) - now) < 86_400 for digits in re.findall(r"\d{10,}", name))
