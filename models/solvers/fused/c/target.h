// What the compiler at hand calls its functions and loops: Warp's clang, NVRTC, nvcc, or a host's compiler.
#pragma once
#include <stddef.h>

#if defined(__CUDACC__)
#define STATIC static __device__ __noinline__
#define INLINE static inline __device__
#define STOP __trap()
#else
#define STATIC static __attribute__((noinline))
#define INLINE static inline
#define STOP __builtin_trap()
#endif
#if defined(__CUDACC__) || defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif
#if defined(__CUDACC__)
#define ROLLED _Pragma("unroll 1")  // where a compiler that unrolls takes minutes and gigabytes, as NVRTC does from sm_100 on
#else
#define ROLLED
#endif

// 32 threads of a GPU share their instructions as long as they go the same way. Those that part, at a branch, need not meet again
// by themselves: `together` is where they do, and `any_thread`, which tells all 32 whether the condition holds for one.
#if defined(__CUDA_ARCH__)
INLINE void together() { __syncwarp(); }
INLINE bool any_thread(bool x) { return __any_sync(0xffffffffu, x); }
#else
INLINE void together() {}
INLINE bool any_thread(bool x) { return x; }
#endif

typedef long long int64;  // `long` has 32 bits on Windows
