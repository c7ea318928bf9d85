"""Face descriptors: is the person in two pictures the same?"""

from perse.identity.embedder import SAME_PERSON_DISTANCE, DlibEmbedder, FaceEmbedder, identity_distance

__all__ = ["SAME_PERSON_DISTANCE", "DlibEmbedder", "FaceEmbedder", "identity_distance"]
