"""The theory report: data in, one HTML page with pictures, numbers and verdicts out.

:func:`make_report` does it all. Each section can be had by itself: its module has ``compute`` (numbers) and ``section``
(numbers to text and pictures).
"""

from __future__ import annotations

from proofs_check.report.make import make_report
from proofs_check.report.options import ReportOptions

__all__ = ["ReportOptions", "make_report"]
