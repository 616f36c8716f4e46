"""One loop for every stage: run folder, exact resume, averaging of weights, logs, sample grids."""
