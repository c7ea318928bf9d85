"""Face descriptors: numbers by which two pictures are compared as to whom they show."""

from perse.identity.embedder import SAME_PERSON_DISTANCE, DlibEmbedder, FaceEmbedder, identity_distance

__all__ = ["SAME_PERSON_DISTANCE", "DlibEmbedder", "FaceEmbedder", "identity_distance"]
