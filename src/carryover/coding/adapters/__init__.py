"""One adapter a flavor: records as a coding agent wrote them in, steps out. `catalog` names them all."""
