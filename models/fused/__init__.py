"""The fused engine: a whole stiff solve, and its exact gradient, in one call into generated code.

`graph`, `lower` and `sparse_lu` turn a model's equations into straight-line C (`functions`); `kernel.h` is the method
around them; `build` compiles both and hands them to XLA; `engine` is the JAX function.
"""
