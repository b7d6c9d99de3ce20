"""Campaigns: claims on millions of instances, on any executor, in a store that an interruption cannot harm."""

from __future__ import annotations

from proofs_check.campaigns.block import HISTOGRAM_EDGES, Block
from proofs_check.campaigns.ledger import Ledger, LedgerRow
from proofs_check.campaigns.running import campaign

__all__ = ["HISTOGRAM_EDGES", "Block", "Ledger", "LedgerRow", "campaign"]
