"""The only room that opens foreign formats: the data sets and checkpoints of the original authors."""
