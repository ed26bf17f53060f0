"""How Hypothesis runs: with no time limit for an example, and in CI always with the same examples.

`make fuzz` chooses the profile `fuzz`: many more, and others each time.
"""

import os

# As `brinery serve` sets it, and before OpenMP is loaded: its threads do not survive the forks that some tests make.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis

hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=10_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))
