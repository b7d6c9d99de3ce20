"""What every test shares: the data folder, hypothesis profiles, a figure backend without windows."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")  # before anything imports matplotlib

from hypothesis import HealthCheck, settings

_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
if "LINEARDYN_DATA" not in os.environ and _DATA.is_dir():
    os.environ["LINEARDYN_DATA"] = str(_DATA)


def _clear_stale_kernels() -> None:
    """numba's disk cache does not see that a jitted helper in another file changed (numba#1833)."""
    for package in ("lineardyn", "solvers"):
        folder = Path(__file__).resolve().parents[1] / package
        newest = max(file.stat().st_mtime for file in folder.rglob("_*kernels.py"))
        for cached in folder.rglob("__pycache__/*kernels.*.nb[ic]"):
            if cached.stat().st_mtime < newest:
                cached.unlink(missing_ok=True)


if "PYTEST_XDIST_WORKER" not in os.environ:  # once, before the workers fill it again
    _clear_stale_kernels()

# No deadline anywhere: numba compiles at the first call, and a loaded machine is no bug.
_QUIET = [HealthCheck.too_slow]
settings.register_profile("dev", max_examples=20, deadline=None, suppress_health_check=_QUIET)
settings.register_profile("ci", max_examples=20, deadline=None, derandomize=True, suppress_health_check=_QUIET)
settings.register_profile("deep", max_examples=1000, deadline=None, suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))

# The rule that a test skipped for lack of torch or of data fails the run lives in tests/skips.py.
pytest_plugins = ["tests.skips", "tests.workers"] if importlib.util.find_spec("tests.skips") else []
