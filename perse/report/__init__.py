"""Contact sheets, curves and the page that shows them."""

from perse.report.curves import plot_curves
from perse.report.page import Report, Section, write_report
from perse.report.sheets import Tile, contact_sheet, error_map, overlay_parts, overlay_points

__all__ = [
    "Report",
    "Section",
    "Tile",
    "contact_sheet",
    "error_map",
    "overlay_parts",
    "overlay_points",
    "plot_curves",
    "write_report",
]
