"""How far apart two computations of one number may be, and why. A tolerance of another kind has its reason beside it.

float32 has 24 bits: rounding is 6e-8 of a value, float64's 1e-16. What is left after a computation depends on the
order of sums and on fused instructions, hence on the processor: each of these leaves a factor of ten or more.
"""

EXACT_DOUBLE = 1e-12
"""Closed formulas in float64 on values about one: some tens of steps."""

DOUBLE = 1e-9
"""float64 with a solved system or a chain of products: its condition takes up to six of sixteen digits."""

SINGLE = 1e-6
"""float32 on values up to one, some tens of steps."""

SINGLE_SUM = 2e-5
"""float32 sums of some thousand terms, relative, or of terms up to one that are blended."""

PIXELS = 1e-3
"""float32 pixel coordinates of some hundreds: neighbouring numbers are 3e-5 apart."""

CHAIN = {"rtol": 1e-4, "atol": 1e-5}
"""float32 through a network, a pose or a drawing: chained sums of some hundred products, of values about one."""

CHAIN_GRADIENT = {"rtol": 1e-3, "atol": 1e-4}
"""The gradient of such a chain: it is summed over all points and frames, and loses a digit more."""
