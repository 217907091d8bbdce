"""The fused engine: a whole stiff solve, and its exact gradient, in one call into generated code.

`graph`, `lower` and `sparse_lu` turn a model's equations into straight-line C (`functions`); `courses.h` and `steady.h`
are the method around them. On the CPU `build` compiles both and hands them to XLA, for `native` to call; for a GPU
`kernels` writes them as Warp's, and `gpu` launches those. `engine` is the JAX function, which takes the one or the
other.
"""
