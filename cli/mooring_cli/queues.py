"""How many messages lie in queues of an installation."""

from collections.abc import Iterable

from mooring_cli.stage import Stage, asking

_COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)


def waiting_in(stage: Stage, names: Iterable[str]) -> int:
    """About how many messages lie in these queues together, received ones included. Raises CommandError.

    Args:
        stage: the installation.
        names: short names, such as `recovery-dead`.
    """
    found = 0
    with asking(stage):
        sqs = stage.client("sqs")
        for name in names:
            url = stage.queue_url(name, sqs)
            counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(_COUNTS))["Attributes"]
            found += sum(int(counts[each]) for each in _COUNTS)
    return found
