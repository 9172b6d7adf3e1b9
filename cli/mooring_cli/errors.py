"""What a command ends with when it cannot do its work: one text that says what to do."""


class CommandError(Exception):
    """Shown on standard error; the exit code is 1.

    Args:
        message: what is wrong and what to do; never a secret.
    """

    exit_code = 1


class UsageError(CommandError):
    """A value on the command line that cannot be right; the exit code is 2, as for an unknown option."""

    exit_code = 2
