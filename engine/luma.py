"""What red, green and blue count in luma."""

from __future__ import annotations

import numpy as np

BT601 = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601: of R'G'B' pictures whatever their primaries, where brightness is compared and nothing is encoded."""
BT709 = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""ITU-R BT.709: of the brightness that films of this day are encoded in."""
