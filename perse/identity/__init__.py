"""Face descriptors: is it still the same person?"""
