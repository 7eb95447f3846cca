"""What recurs over sessions: `detect` counts clusters of signals (`clusters`, `units`, `risk`) and habits (`contrast`).

`candidates` puts them into the catalog with `advice`, `curate` holds what people decide, `telling` makes lessons lines.
"""
