"""This library against others doing the same work: equal error, one thread, one run, failures kept."""
