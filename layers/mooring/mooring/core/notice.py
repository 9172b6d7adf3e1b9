"""The uninstall notice of a provider, once it has been read and, where it can be, proven."""

from typing import NamedTuple


class Notice(NamedTuple):
    """A provider says that a merchant removed us from one account.

    Attributes:
        account_id: the account at the provider.
        event_id: the notice's own id, the same in each of its repetitions, or None where it names none.
            It goes into the log as `notice_id`. It is no secret and no proof; where it stands in a
            header, nothing vouches for it.
        at: when the merchant did it, epoch seconds; None unless it stands in what the signature covers.
        proven: whether a signature proved who sent it. What is not proven is only a hint.
    """

    account_id: str
    event_id: str | None
    at: int | None
    proven: bool
