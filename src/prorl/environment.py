"""Process settings that must stand before torch is imported; importing this module makes them.

Passive OpenMP waiting: a spinning thread whose partner has lost its core burns its time in a barrier, which on a shared
machine costs a factor of four. Fixed thread counts: a sum split another way rounds another way, and a resumed run must
round as it did before. Freed memory stays with the process: an update frees and takes the same large blocks again and
again, and the system would clear them each time.
"""

import ctypes
import os

SETTINGS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "OMP_DYNAMIC": "FALSE",
    "MKL_DYNAMIC": "FALSE",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
_LARGE = 1 << 30

try:
    _mallopt = ctypes.CDLL(None).mallopt
except (AttributeError, OSError):
    pass  # another C library
else:
    for _parameter, _bytes in ((_TRIM_THRESHOLD, _LARGE), (_MMAP_THRESHOLD, _LARGE), (_TOP_PAD, 1 << 26)):
        _mallopt(_parameter, _bytes)
