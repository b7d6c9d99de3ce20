"""``import lineardyn`` stands on numpy, scipy and numba; everything else loads where it is first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["matplotlib", "PIL", "cvxpy", "sympy", "torch", "dask", "sklearn", "pandas", "jax", "rich", "jinja2"]


@pytest.mark.parametrize("package", ["lineardyn", "solvers"])
def test_importing_pulls_in_nothing_heavy(package):
    code = f"import sys, {package}; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_the_probes_load_pytorch_and_pictures_when_called():
    code = "import sys, proofs_check.probes; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_every_public_name_can_be_imported():
    """The names of the design that users' code depends on."""
    import lineardyn

    names = {
        *("pure_cosines", "sums_of_cosines", "geometric_shapes", "power_law_images", "natural_patches"),
        *("load_cifar10", "load_mnist", "SecondMoments", "Modes", "plot_modes", "LinearCNN", "LinearFCN"),
        *("gradient_flow", "gradient_descent", "Trajectory", "sigmoid", "learning_time", "ModeClock"),
        *("minimal_norm", "convert_learning_rate", "max_learning_rate"),
    }
    assert {n for n in names if not hasattr(lineardyn, n)} == set()
    assert names <= set(lineardyn.__all__)
