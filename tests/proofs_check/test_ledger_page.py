"""docs/ledger.md is what the claims say."""

from __future__ import annotations

import re
from pathlib import Path

from proofs_check import claims
from proofs_check.commands.listing import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ledger.md"


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(claims()), "python -m proofs_check list --markdown > docs/ledger.md"


def test_every_claim_has_one_row_of_four_cells():
    rows = [line for line in page(claims()).splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"^\| `([^`]+)`", "\n".join(rows), flags=re.MULTILINE)) == sorted(c.id for c in claims())
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)
