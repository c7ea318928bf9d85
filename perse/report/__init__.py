"""Contact sheets, curves and the page that shows them."""

from perse.report.assemble import ReportInputs, assemble_report
from perse.report.avatar_sections import Pair, angles_section, interpolation_section, mix_section, unseen_section
from perse.report.curves import plot_curves
from perse.report.page import Report, Section, write_report
from perse.report.sheets import Tile, contact_sheet, error_map, overlay_parts, overlay_points
from perse.report.synthesis_sections import clip_section, edits_section, portrait_section

__all__ = [
    "Pair",
    "Report",
    "ReportInputs",
    "Section",
    "Tile",
    "angles_section",
    "assemble_report",
    "clip_section",
    "contact_sheet",
    "edits_section",
    "error_map",
    "interpolation_section",
    "mix_section",
    "overlay_parts",
    "overlay_points",
    "plot_curves",
    "portrait_section",
    "unseen_section",
    "write_report",
]
