"""Stage 3, rewards: pure-Python integers for sympy and mpmath; import this before either of them.

With gmpy2 a giant power or factorial cannot be interrupted, and an allocation that fails aborts the process.
"""

import os

os.environ.setdefault("SYMPY_GROUND_TYPES", "python")
os.environ.setdefault("MPMATH_NOGMPY", "1")
