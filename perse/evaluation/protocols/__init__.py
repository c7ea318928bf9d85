"""The paper's Tables 1, 2 and 6 (P 5.1, B.2) as measurements of one avatar: pieces, and their summaries."""

from perse.evaluation.protocols.instruments import DLIB_ID, Instruments
from perse.evaluation.protocols.measure import ProtocolMeasurer, UnseenScores, WayScores
from perse.evaluation.protocols.self_driving import driven, self_driving
from perse.evaluation.protocols.summary import SPACES, table1_row, table2_row

__all__ = [
    "DLIB_ID",
    "SPACES",
    "Instruments",
    "ProtocolMeasurer",
    "UnseenScores",
    "WayScores",
    "driven",
    "self_driving",
    "table1_row",
    "table2_row",
]
