"""Agents at Dask workers: a turn runs there as one task, and what comes of it is streamed into the run that asked."""
