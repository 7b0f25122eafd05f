"""Measurements: `make bench`. Figures are ratios of contenders in one run, on one machine."""
