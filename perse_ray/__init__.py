"""Orchestration on Ray: data pipeline, training, morph actors, serving, MLflow. Holds no mathematics."""

import os

# Ray Serve ends its controller while calls to it are open, its own request to end among them; Ray then says in red that
# each of them failed, at the end of every good fine-tuning. Ray reads this when it is imported, and so after this line.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", r"Task ServeController\.\w+ failed\..*killed by `ray\.kill`")
