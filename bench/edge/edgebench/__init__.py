"""The benchmark of the edge; `run` beside this folder is its program."""
