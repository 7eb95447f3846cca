"""What carryover must reach, measured: each module prints its figures as ratios within one run."""
