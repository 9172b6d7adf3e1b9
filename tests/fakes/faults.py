"""What every fake can do: note its calls in a journal, and fail as a test says."""


class Fallible:
    """Base of the fakes.

    `broken` maps a method's name to what it raises until the test takes it out again; `journal`
    gets one word per call, and may be shared by several fakes so that a test can check their order.
    """

    def __init__(self, journal: list[str] | None = None) -> None:
        self.journal: list[str] = [] if journal is None else journal
        self.broken: dict[str, Exception] = {}

    def called(self, method: str) -> None:
        """Note a call, and fail it if it is to fail."""
        self.journal.append(method)
        if method in self.broken:
            raise self.broken[method]
