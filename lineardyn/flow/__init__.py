"""Gradient flow: tableaus, kernels, stepping, and the verb."""
