"""What holds calls to their signatures in tests: beartype, for which an int is a float, as for type checkers."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
