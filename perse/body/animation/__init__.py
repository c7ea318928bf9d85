"""From a fitted person to pose-rich frames."""
