"""The papers' figures (``python -m benchmarks.papers``), and two statements at full size, a script each.

The test suite runs each in a size of seconds.
"""
