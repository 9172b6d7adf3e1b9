"""What a fake answers, as a test says."""

from collections.abc import Callable

from mooring.core.errors import Failure

type Scripted[Call, Answer] = Answer | Failure | Callable[[Call], Answer] | list[Answer | Failure]
"""An answer, or the failure to raise. A function is called with the recorded call. A list is used up
from its front, one answer a call."""


def play[Call, Answer](script: Scripted[Call, Answer], call: Call) -> Answer:
    """The next answer of a script, or its failure raised."""
    answer = script.pop(0) if isinstance(script, list) else script
    if isinstance(answer, Failure):
        raise answer
    return answer(call) if callable(answer) else answer
