"""The paper's Tables 1 and 2 (P 5.1, B.2) as measurements of one avatar: pieces, and what is put together of them."""

from perse.evaluation.protocols.instruments import DLIB_ID, Instruments
from perse.evaluation.protocols.measure import ProtocolMeasurer, UnseenScores, WayScores
from perse.evaluation.protocols.summary import SPACES, table1_row, table2_row

__all__ = [
    "DLIB_ID",
    "SPACES",
    "Instruments",
    "ProtocolMeasurer",
    "UnseenScores",
    "WayScores",
    "table1_row",
    "table2_row",
]
