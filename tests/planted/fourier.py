"""The transform: its norm, conjugates, the packing of half spectra."""

from __future__ import annotations

from tests.planted import checks as by
from tests.planted.error import Planted

PLANTED = {
    "DFT not unitary": Planted(
        "lineardyn.fourier",
        'scipy.fft.fft2(_double(values), norm="ortho")',
        "scipy.fft.fft2(_double(values))",
        by.TRANSFORM,
    ),
    "conjugate of the DFT": Planted(
        "lineardyn.fourier",
        'scipy.fft.fft2(_double(values), norm="ortho")',
        'scipy.fft.fft2(_double(values), norm="ortho").conj()',
        by.TRANSFORM,
    ),
    "inverse DFT without √P": Planted(
        "lineardyn.fourier",
        'scipy.fft.ifft2(_double(np.asarray(spectrum)), norm="ortho")',
        "scipy.fft.ifft2(_double(np.asarray(spectrum)))",
        by.TRANSFORM,
    ),
    "√P missing in the convolution": Planted(
        "lineardyn.fourier", "np.sqrt(height * width) * ifft2(product).real", "ifft2(product).real", by.CONVOLUTION
    ),
    "P for √P in the convolution": Planted(
        "lineardyn.fourier",
        "np.sqrt(height * width) * ifft2(product).real",
        "height * width * ifft2(product).real",
        by.CONVOLUTION,
    ),
    "correlation for convolution": Planted(
        "lineardyn.fourier",
        "fft2(w.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1), fft2(x))",
        "fft2(w.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1).conj(), fft2(x))",
        by.CONVOLUTION,
    ),
    "circulant transposed": Planted(
        "lineardyn.fourier", "(i[:, None] - i) % height", "(i - i[:, None]) % height", by.CIRCULANT
    ),
    "DC alone is its own conjugate": Planted(
        "lineardyn.fourier",
        "if conjugate == (frequency[0] % shape[0], frequency[1] % shape[1])",
        "if conjugate == (0, 0)",
        by.CONJUGATES,
    ),
    "no conjugate on one axis": Planted(
        "lineardyn.fourier", "return -u % height, -v % width", "return -u % height, v % width", by.CONJUGATES
    ),
    "√2 for 2 frequencies": Planted(
        "lineardyn.fourier",
        "np.where(partner[indices] == indices, 1.0, 2.0)",
        "np.where(partner[indices] == indices, 1.0, np.sqrt(2.0))",
        by.ISOMETRY,
    ),
    "unpacked spectra are not conjugate symmetric": Planted(
        "lineardyn.fourier", "] = half.conj()", "] = half", by.ISOMETRY
    ),
    "packed spectrum of the image, not its conjugate": Planted(
        "lineardyn.fourier", "np.where(mirrored, 1.0, -1.0)", "np.where(mirrored, -1.0, 1.0)", by.PACKING
    ),
    "images unpacked from one frequency of each pair, not its conjugate": Planted(
        "lineardyn.fourier", "np.where(flat <= partner, -1.0, 1.0)", "-np.ones(len(flat))", by.UNPACKING
    ),
    "packed images without √P": Planted(
        "lineardyn.fourier",
        'scipy.fft.rfft2(_double(images), norm="ortho")',
        "scipy.fft.rfft2(_double(images))",
        by.PACKING,
    ),
    "row of a mirrored frequency": Planted(
        "lineardyn.fourier", "np.where(mirrored, -u % height, u)", "np.where(mirrored, u, u)", by.PACKING
    ),
    "radius along the axes": Planted(
        "lineardyn.fourier", "np.hypot(u[:, None], v)", "np.abs(u[:, None]) + np.abs(v)", by.RADIUS
    ),
}
