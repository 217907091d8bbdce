// `real`: LANES values side by side, `mask`: as many conditions; and the functions that generated code uses on them.

#if defined(__CUDA_ARCH__) || defined(__CUDACC__)
#define STATIC static __device__ __noinline__
#else
#define STATIC static __attribute__((noinline))
#endif
#define INLINE static inline CUDA_CALLABLE
#define UNROLL _Pragma("unroll")

#if LANES == 1
typedef double real;
typedef bool mask;
#define AT(v, l) (v)
INLINE mask and_(mask a, mask b) { return a && b; }
INLINE mask or_(mask a, mask b) { return a || b; }
INLINE mask not_(mask a) { return !a; }
INLINE real real_of(double x) { return x; }
INLINE real select_(mask m, real a, real b) { return m ? a : b; }
INLINE real exp_(real x) { return ::exp(x); }
INLINE real log_(real x) { return ::log(x); }
INLINE real sqrt_(real x) { return ::sqrt(x); }
#define EACH(name, f) INLINE real name(real x) { return f(x); }
#else
typedef double real __attribute__((vector_size(8 * LANES)));
typedef long long mask __attribute__((vector_size(8 * LANES)));
#define AT(v, l) (v)[l]
INLINE mask and_(mask a, mask b) { return a & b; }
INLINE mask or_(mask a, mask b) { return a | b; }
INLINE mask not_(mask a) { return ~a; }
INLINE real real_of(double x) { return (real) {} + x; }
INLINE real select_(mask m, real a, real b) { return m ? a : b; }
INLINE real sqrt_(real x) { return __builtin_elementwise_sqrt(x); }
#define EACH(name, f) INLINE real name(real x) { for (int l = 0; l < LANES; l++) x[l] = f(x[l]); return x; }

// exp and log as in FreeBSD's libm (fdlibm), for all lanes at once; errors below 1 ulp.
STATIC real exp_(real x)
{
  const real magic = real_of(6755399441055744.0);  // 1.5 * 2^52: adding it rounds to a whole number
  const real held = select_(x > 709.0, real_of(709.0), select_(x < -708.0, real_of(-708.0), x));
  const real shifted = held * 1.44269504088896338700e+00 + magic, k = shifted - magic;
  const real high = held - k * 6.93147180369123816490e-01, low = k * 1.90821492927058770002e-10;
  const real r = high - low, t = r * r;
  const real c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 + t * (6.61375632143793436117e-05
      + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
  const real y = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
  const real scaled = (real) ((mask) y + (((mask) shifted - (mask) magic) << 52));
  const real bounded = select_(x > 709.0, real_of(INFINITY), select_(x < -708.0, real_of(0.0), scaled));
  return select_(x == x, bounded, x);
}

STATIC real log_(real x)
{
  const mask small = x < 2.2250738585072014e-308;
  const real scaled = select_(small, x * 18014398509481984.0, x);  // 2^54
  mask bits = (mask) scaled;
  mask k = (bits >> 52) - 1023;
  real m = (real) ((bits & 0x000fffffffffffffLL) | 0x3ff0000000000000LL);
  const mask large = m > 1.4142135623730951;
  m = select_(large, m * 0.5, m);
  k = k - large - (small & 54);
  const real e = __builtin_convertvector(k, real), f = m - 1.0, s = f / (2.0 + f), z = s * s;
  const real r = z * (6.666666666666735130e-01 + z * (3.999999999940941908e-01 + z * (2.857142874366239149e-01
      + z * (2.222219843214978396e-01 + z * (1.818357216161805012e-01 + z * (1.531383769920937332e-01
      + z * 1.479819860511658591e-01))))));
  const real half = 0.5 * f * f;
  const real y = e * 6.93147180369123816490e-01 - ((half - (s * (half + r) + e * 1.90821492927058770002e-10)) - f);
  const real bounded = select_(x < INFINITY, y, x);
  return select_(x > 0.0, bounded, select_(x == 0.0, real_of(-INFINITY), real_of(NAN)));
}
#endif

EACH(sin_, ::sin)
EACH(cos_, ::cos)
EACH(tan_, ::tan)
EACH(tanh_, ::tanh)
EACH(floor_, ::floor)
EACH(ceil_, ::ceil)
INLINE real abs_(real x) { return select_(x < 0.0, -x, x); }
INLINE real sign_(real x) { return select_(x > 0.0, real_of(1.0), select_(x < 0.0, real_of(-1.0), real_of(0.0))); }

INLINE bool all_finite(const double* x, long count)
{
  for (long i = 0; i < count; i++)
    if (!(x[i] - x[i] == 0.0)) return false;
  return true;
}

// x^n, continued to x <= 0 with finite derivatives, as `hexamer.models.codegen.guarded_power` does and says why.
STATIC real power_(real x, real n)
{
  const mask positive = x > 0.0;
  const real above = exp_(n * log_(select_(positive, x, real_of(1.0))));
  real below = select_(n == 1.0, x, select_(n == 2.0, x * x, real_of(0.0)));
  below = select_(n == 0.0, real_of(1.0), select_(n < 0.0, real_of(INFINITY), below));
  return select_(positive, above, below);
}

// n x^(n-1)
STATIC real slope_(real x, real n)
{
  const mask positive = x > 0.0;
  const real power = exp_((n - 1.0) * log_(select_(positive, x, real_of(1.0))));
  const real above = select_(n == 0.0, real_of(0.0), n * power);  // the power may be infinite
  const real below = select_(n == 1.0, real_of(1.0), select_(n == 2.0, 2.0 * x, real_of(0.0)));
  return select_(positive, above, below);
}

// n (n-1) x^(n-2)
STATIC real curvature_(real x, real n)
{
  const mask positive = x > 0.0;
  const real factor = n * (n - 1.0), power = exp_((n - 2.0) * log_(select_(positive, x, real_of(1.0))));
  const real above = select_(factor == 0.0, real_of(0.0), factor * power);
  return select_(positive, above, select_(n == 2.0, real_of(2.0), real_of(0.0)));
}

// d/dn of n x^(n-1)
STATIC real slope_by_exponent_(real x, real n)
{
  const mask positive = x > 0.0;
  const real l = log_(select_(positive, x, real_of(1.0)));
  return select_(positive, (1.0 + n * l) * exp_((n - 1.0) * l), real_of(0.0));
}

INLINE real guarded_log_(real x)
{
  const mask positive = x > 0.0;
  return select_(positive, log_(select_(positive, x, real_of(1.0))), real_of(0.0));
}

INLINE real guarded_inverse_(real x) { return select_(x > 0.0, 1.0 / x, real_of(0.0)); }
