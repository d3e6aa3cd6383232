"""What the performance claims rest on: `python -m bench` runs all of it, `python -m bench.NAME` one figure."""
