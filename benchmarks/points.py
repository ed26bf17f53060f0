"""What is measured: the targets, and under which load."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ASGI: Final = "asgi"
WSGI: Final = "wsgi"
NAIVE: Final = "naive"
BARE_ASGI: Final = "bare asgi"
BARE_WSGI: Final = "bare wsgi"
ESTIMATOR: Final = "estimator"
OIP: Final = "Open Inference Protocol v2"
KSERVE: Final = "KServe v1"
MLFLOW: Final = "MLflow"
PROTOCOLS: Final = (OIP, KSERVE, MLFLOW)  # asked of the first front
SERVERS: Final = (ASGI, WSGI, NAIVE, BARE_ASGI, BARE_WSGI)

CONNECTIONS: Final = (1, 8, 32, 64)
BATCHES: Final = (1, 100, 1000)
BATCH_CONNECTIONS: Final = 8
MOST_OF_PROTOCOLS: Final = 100  # rows


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """A load: as many connections, each with one request after the other of as many rows."""

    connections: int
    rows: int


ANCHOR: Final = Point(BATCH_CONNECTIONS, 1)  # measured on every target, so that each has a ratio to each other
SECOND_FRONT: Final = (ANCHOR, Point(64, 1), Point(BATCH_CONNECTIONS, 100))


def points(connections: Sequence[int], batches: Sequence[int]) -> list[Point]:
    """Give the points in their order: one row a request over the connections, then more rows a request."""
    single = {Point(each, 1) for each in connections}
    return sorted(single | {Point(BATCH_CONNECTIONS, rows) for rows in batches}, key=lambda each: (each.rows, each))


def is_measured(target: str, point: Point, *, with_floors: bool) -> bool:
    """Tell whether a target is measured at a point.

    Our second front is at some. The bare floors know no estimator: they have all points beside one of them, by
    `with_floors`, and the anchor beside each. Protocols cost the same whatever the estimator: they stand beside that
    one. The estimator has no connections: it stands at those of the batches.
    """
    if target in PROTOCOLS:
        return with_floors and point.rows <= MOST_OF_PROTOCOLS
    if target == WSGI:
        return point in SECOND_FRONT
    if target in (BARE_ASGI, BARE_WSGI):
        return with_floors or (target == BARE_ASGI and point == ANCHOR)
    if target == ESTIMATOR:
        return point.connections == BATCH_CONNECTIONS
    return True
