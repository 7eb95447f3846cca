"""What agents are told of it, and whether that helped.

`distribute` writes `blocks` into `targets` (`files` replaces them, `assign` draws who is told), `measure` looks at the
sessions before and after (`observe`, `compare`).
"""
