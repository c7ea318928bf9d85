"""portrait-Champ (P A.3.2): a video diffusion model that animates edited portraits, and its training step."""

from perse.synthesis.production.portrait_champ.animator import PortraitChamp, PortraitChampConfig
from perse.synthesis.production.portrait_champ.footage import Footage, FootageConfig, FootageMaker
from perse.synthesis.production.portrait_champ.guidance_encoder import GuidanceEncoderSizes
from perse.synthesis.production.portrait_champ.image_tokens import ClipImageTokensConfig, DescriptorTokensConfig
from perse.synthesis.production.portrait_champ.latents import BlockLatentsConfig, SdVaeConfig
from perse.synthesis.production.portrait_champ.networks import ChampNetworks, ChampSizes
from perse.synthesis.production.portrait_champ.noise import NoiseSchedule
from perse.synthesis.production.portrait_champ.sampling import SamplingConfig
from perse.synthesis.production.portrait_champ.sizes import MotionSizes, UNetSizes
from perse.synthesis.production.portrait_champ.storage import PretrainedStart
from perse.synthesis.production.portrait_champ.training import (
    AdamConfig,
    ChampBatch,
    ChampReport,
    ChampTrainer,
    ChampTrainingConfig,
    EightBitAdamConfig,
)

__all__ = [
    "AdamConfig",
    "BlockLatentsConfig",
    "ChampBatch",
    "ChampNetworks",
    "ChampReport",
    "ChampSizes",
    "ChampTrainer",
    "ChampTrainingConfig",
    "ClipImageTokensConfig",
    "DescriptorTokensConfig",
    "EightBitAdamConfig",
    "Footage",
    "FootageConfig",
    "FootageMaker",
    "GuidanceEncoderSizes",
    "MotionSizes",
    "NoiseSchedule",
    "PortraitChamp",
    "PortraitChampConfig",
    "PretrainedStart",
    "SamplingConfig",
    "SdVaeConfig",
    "UNetSizes",
]
