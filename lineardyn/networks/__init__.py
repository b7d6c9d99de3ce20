"""Linear networks: shapes, starts, effective predictor, loss and gradient.

Weights are a list of real float64 arrays in pixel space, layer 1 first. Internally a network moves in packed Fourier
coordinates (one flat *state*), where the flow of theory section 1 couples frequencies only through the residual.
"""

from __future__ import annotations

from lineardyn.networks.convolutional import LinearCNN
from lineardyn.networks.fully_connected import LinearFCN
from lineardyn.networks.network import LinearNetwork, Weights

__all__ = ["LinearCNN", "LinearFCN", "LinearNetwork", "Weights"]
