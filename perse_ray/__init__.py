"""Orchestration on Ray: data pipeline, training, morph actors, serving, MLflow. Holds no mathematics."""
