"""Renders the sample picture again: ``python -m perse.body.sample [file]``."""

import sys
from pathlib import Path

from PIL import Image

from perse.body.sample import PICTURE
from perse.body.sample.standing import sample_person

if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    Image.fromarray(sample_person()).save(target, quality=95)
    print(target)
