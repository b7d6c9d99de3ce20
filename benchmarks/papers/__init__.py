"""The papers' claims at full size, one script a figure or table; the test suite runs each in a size of seconds."""
