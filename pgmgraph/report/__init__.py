"""Reports: what a run did and what came of it, as one HTML file."""

from pgmgraph.report.account import Account, History
from pgmgraph.report.comparison import write_comparison
from pgmgraph.report.report import report_run, write_report
from pgmgraph.report.sections import final_values, quantities
from pgmgraph.report.story import Story, tell

__all__ = [
    "Account",
    "History",
    "Story",
    "final_values",
    "quantities",
    "report_run",
    "tell",
    "write_comparison",
    "write_report",
]
