"""Figures that are not ours: latencies, quotas and prices, each with where it is from."""

import ast
from pathlib import Path

from tools.simulate.settings import ROOT

QUERY, BATCH_GET, SEND, UPDATE, DECRYPT = 0.008, 0.010, 0.010, 0.006, 0.006
"""Seconds that one call takes inside a region. Assumed: AWS promises none of them."""
PROVIDER = 0.200
"""Seconds to a provider's answer, as the worker is measured with."""
NO_ANSWER = 10.0
"""Seconds until a provider that does not answer is given up."""
REFRESH_PROCESSOR = 0.012
"""Seconds of a whole processor that one refresh takes in a batch; measured by `make scale`."""
SWEEP_PROCESSOR = 0.00045
"""Seconds of a whole processor that the sweep takes for one connection; measured with 3,000 due."""
VCPU_MB = 1_769
"""Memory with which a function has one whole processor; less has its part of one.
https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html, read 2026-11-22."""
PARTITION_WRITES, PARTITION_GB = 1_000, 10
"""Units a second, and size, of one DynamoDB partition. Read 2026-11-22:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"""
TABLE_WRITES = 40_000
"""Write units a second of one table on demand, adjustable.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html, read 2026-11-22."""
KMS_PER_SECOND = {"most regions": 10_000, "six regions": 20_000, "three regions": 100_000}
"""Symmetric operations of an account in a region, adjustable. 20,000: us-east-2, ap-southeast-1,
ap-southeast-2, ap-northeast-1, eu-central-1, eu-west-2; 100,000: us-east-1, us-west-2, eu-west-1.
https://docs.aws.amazon.com/kms/latest/developerguide/requests-per-second.html, read 2026-11-22."""
IN_FLIGHT = 120_000
"""Messages of a standard queue that were received and not yet deleted. Read 2026-11-22:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html"""
FIRST_BATCHES, MORE_BATCHES, MOST_BATCHES = 5, 300 / 60, 1_000
"""Batches at once with which Lambda begins on a queue, how many more each second, and the most.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html, read 2026-11-22."""
ROW_KB, INDEX_KB = 4, 1
"""A row with two sealed tokens of 1,500 bytes each, and an entry of the index, in whole write units."""
STORED_GB, RECOVERY_GB = 0.25, 0.20
"""Dollars a month for a gigabyte in a table, and for its point-in-time recovery (us-east-1)."""
MONTH = 730 * 3_600
"""Seconds of a month, as docs/cost.md reckons."""

_COST = ROOT / "docs/cost.md"


def prices(document: Path = _COST) -> dict[str, float]:
    """The block of prices in docs/cost.md (us-east-1): dollars by name.

    Raises:
        ValueError: the first Python block is not a list of names with numbers, or quotients of numbers.
    """
    _, _, rest = document.read_text(encoding="utf-8").partition("```python\n")
    block = rest.partition("```")[0]
    found = {}
    for statement in ast.parse(block).body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise ValueError(f"{document.name}: the prices must be assignments")
        found[statement.targets[0].id] = _number(statement.value)
    return found


def _number(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return _number(node.left) / _number(node.right)
    raise ValueError("a price must be a number or a quotient of numbers")
