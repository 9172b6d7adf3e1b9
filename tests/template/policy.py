"""The evaluator of policies, where the tests look for it. It is a part of the local stack."""

from local.policy import Decision, PolicyError, Request, Statement, decide, like, listed, matches

__all__ = ["Decision", "PolicyError", "Request", "Statement", "decide", "like", "listed", "matches"]
