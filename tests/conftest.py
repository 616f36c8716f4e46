"""Settings of the whole suite."""

import os

# pytest -n runs several processes: one thread in each, before torch is imported, so that they do not wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")
