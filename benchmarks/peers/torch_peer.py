"""The two-layer linear CNN in PyTorch, in the two forms a user would write; float64, one thread.

Both hold the same parameters as lineardyn: a circular full-size kernel (true convolution) and a dense layer, loss
``½‖y - f(x)‖²`` of the images of the step (their mean). Steps are taken by hand, ``p.sub_(lr·grad)`` without autograd:
the arithmetic of ``torch.optim.SGD`` without its bookkeeping. No momentum, no weight decay.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.problems import Floats

FORMS = ("fft", "conv2d")


class TorchTraining:
    """Train one of the forms from given weights on given samples in a given order."""

    def __init__(self, form: str, images: Floats, targets: Floats) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch = torch
        self.form = form
        self.height, self.width = images.shape[2:]
        self.images = torch.from_numpy(images.copy())
        self.targets = torch.from_numpy(targets.copy())

    def train(self, weights: list[Floats], order: NDArray[np.int64] | None, n_steps: int, rate: float) -> list[Floats]:
        """Weights after ``n_steps``: sample ``order[i]`` at step i, or all samples at each step if order is None."""
        torch = self.torch
        kernel, dense = self._parameters(weights)
        forward = self._forward_fft if self.form == "fft" else self._forward_conv2d
        if order is None:
            batches = [(self.images, self.targets)] * n_steps
        else:
            images, targets = self.images[:, None].unbind(0), self.targets[:, None].unbind(0)
            batches = [(images[i], targets[i]) for i in order.tolist()]
        for x, y in batches:
            loss = (y - forward(kernel, dense, x)).square().sum() * (0.5 / len(x))
            kernel_gradient, dense_gradient = torch.autograd.grad(loss, (kernel, dense))
            with torch.no_grad():
                kernel.sub_(kernel_gradient, alpha=rate)
                dense.sub_(dense_gradient, alpha=rate)
        return self._weights(kernel, dense)

    def _forward_fft(self, kernel: Any, dense: Any, x: Any) -> Any:
        fft = self.torch.fft
        hidden = fft.irfft2(fft.rfft2(x) * fft.rfft2(kernel), s=(self.height, self.width))
        return self.torch.nn.functional.linear(hidden.flatten(1), dense)

    def _forward_conv2d(self, kernel: Any, dense: Any, x: Any) -> Any:
        functional = self.torch.nn.functional
        padded = functional.pad(x, (self.width - 1, 0, self.height - 1, 0), mode="circular")
        hidden = functional.conv2d(padded, kernel)
        return functional.linear(hidden.flatten(1), dense)

    def _parameters(self, weights: list[Floats]) -> tuple[Any, Any]:
        """Kernel ``(1, 1, H, W)`` and dense ``(K, P)``; conv2d correlates, so its kernel is kept flipped."""
        kernel = weights[0][:, :, :, 0][:, None]
        if self.form == "conv2d":
            kernel = kernel[:, :, ::-1, ::-1]
        tensors = [self.torch.from_numpy(np.array(p)) for p in (kernel, weights[1].reshape(len(weights[1]), -1))]
        return tensors[0].requires_grad_(), tensors[1].requires_grad_()

    def _weights(self, kernel: Any, dense: Any) -> list[Floats]:
        k, d = kernel.detach().numpy(), dense.detach().numpy()
        if self.form == "conv2d":
            k = k[:, :, ::-1, ::-1]
        return [np.ascontiguousarray(k[:, 0, :, :, None]), d.reshape(len(d), self.height, self.width, 1).copy()]
