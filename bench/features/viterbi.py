"""The cheapest path through candidates of successive frames (Viterbi), for pitch trackers."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def cheapest_path(local: Floats, transitions: Floats) -> NDArray[np.int64]:
    """(frames,): the candidate of each frame on the path of the lowest total cost.

    local: (frames, candidates), the cost of each candidate; transitions: (frames, to, from), the
    cost of the step into each frame, of which the first frame's is not used.
    """
    frames = len(local)
    cheapest_from = np.zeros(local.shape, np.int64)
    total = local[0]
    for frame in range(1, frames):
        # each route leads from a candidate of the frame before to one of this frame
        routes = transitions[frame] + total
        cheapest_from[frame] = routes.argmin(1)
        cheapest = routes.min(1)
        total = cheapest + local[frame]

    return _traced_back(cheapest_from, total)


def _traced_back(cheapest_from: NDArray[np.int64], total: Floats) -> NDArray[np.int64]:
    """(frames,): the path that ends in the last frame's candidate of the lowest total cost.

    cheapest_from: (frames, candidates), the candidate of the frame before on the cheapest path to
    each candidate; total: (candidates,), the costs of the paths to the last frame.
    """
    frames = len(cheapest_from)
    path = np.empty(frames, np.int64)
    path[-1] = total.argmin()
    for frame in range(frames - 1, 0, -1):
        candidate = path[frame]
        path[frame - 1] = cheapest_from[frame, candidate]
    return path
