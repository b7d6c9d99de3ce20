"""What ``python -m proofs_check`` can do: each verb has its file, with ``add_arguments`` and ``run``."""

from __future__ import annotations

__all__: list[str] = []
