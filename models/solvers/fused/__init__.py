"""The fused engine: a whole stiff solve, and its exact gradient, in one call into generated code.

`codegen` turns a model's equations into straight-line C. The headers of `c` are the method around it, and `source`
joins both into one text. `contract` declares what Python and C both know: how the numbers of a call are laid out,
statuses, constants. On the CPU `build` compiles the text and registers it with XLA, and `cpu` calls it; for a GPU
`gpu_kernels` writes Warp's kernels around it, and `gpu` launches them. `engine` is the JAX function, which takes the
one or the other.
"""
