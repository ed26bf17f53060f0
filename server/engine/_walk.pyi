from typing import Any

from numpy.typing import NDArray

class Walker:
    def __init__(
        self,
        nodes: NDArray[Any],
        numbers: NDArray[Any],
        leaves: NDArray[Any],
        roots: NDArray[Any],
        columns: NDArray[Any],
        left_sets: NDArray[Any],
        known_sets: NDArray[Any],
        width: int,
        n_features: int,
        scale: float,
        single_precision: bool,
    ) -> None: ...
    def add(self, x: NDArray[Any], out: NDArray[Any], /) -> None: ...
