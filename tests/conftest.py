"""Settings of the whole suite."""

import os

# pytest -n runs several processes: one thread in each, set before torch is imported, or they wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")
