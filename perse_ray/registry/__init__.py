"""Records of a build outside of its pictures: MLflow runs, registered models, checkpoints."""
