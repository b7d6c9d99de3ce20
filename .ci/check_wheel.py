"""Check that a wheel holds the files of the three packages that git tracks, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGES = ("lineardyn", "solvers", "proofs_check")
ROOT = Path(__file__).resolve().parents[1]


def main(wheel: str) -> int:
    """Print what is missing and what is too much; 1 if anything is."""
    listing = subprocess.run(["git", "ls-files", "--", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True)
    expected = set(listing.stdout.split())
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    must = {f"{package}/{name}" for package in PACKAGES for name in ("__init__.py", "py.typed")}
    missing, excess = sorted((expected | must) - held), sorted(held - expected)
    if not any(name.startswith("proofs_check/templates/") for name in held):
        missing.append("proofs_check/templates/*")
    for title, names in (("missing from", missing), ("too much in", excess)):
        for name in names:
            sys.stdout.write(f"{title} the wheel: {name}\n")
    sys.stdout.write(f"{Path(wheel).name}: {len(held)} files\n")
    return 1 if missing or excess else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
