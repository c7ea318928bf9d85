"""Animation of a fitted person: pose-rich frames to train on."""
