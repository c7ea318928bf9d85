"""placeholder"""
from dataclasses import dataclass
@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    epochs: int = 5
class LoraTransfer: ...
