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

typedef long long int64;  // `long` has 32 bits on Windows
