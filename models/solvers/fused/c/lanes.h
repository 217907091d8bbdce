// `real`: LANES values side by side, `mask`: as many conditions; and the functions that generated code uses on them.
// `scalar` is what one of the values is: a double, or a float where SINGLE is set. Numbers are whole or scalar(x): a bare
// 0.5 is a double, and on a GPU what it meets would become one.
#pragma once
#include <math.h>
#include "target.h"

#if SINGLE
typedef float scalar;
#else
typedef double scalar;
#endif

#if LANES == 1
typedef scalar real;
typedef bool mask;
#define AT(v, l) (v)
INLINE mask and_(mask a, mask b) { return a && b; }
INLINE mask or_(mask a, mask b) { return a || b; }
INLINE mask not_(mask a) { return !a; }
INLINE real real_of(scalar x) { return x; }
INLINE real select_(mask m, real a, real b) { return m ? a : b; }
INLINE real exp_(real x) { return ::exp(x); }
INLINE real log_(real x) { return ::log(x); }
INLINE real sqrt_(real x) { return ::sqrt(x); }
#define EACH(name, f) INLINE real name(real x) { return f(x); }
#else
typedef scalar real __attribute__((vector_size(sizeof(scalar) * LANES)));
#if SINGLE
typedef int mask __attribute__((vector_size(4 * LANES)));
#else
typedef long long mask __attribute__((vector_size(8 * LANES)));
#endif
#define AT(v, l) (v)[l]
INLINE mask and_(mask a, mask b) { return a & b; }
INLINE mask or_(mask a, mask b) { return a | b; }
INLINE mask not_(mask a) { return ~a; }
INLINE real real_of(scalar x) { return (real) {} + x; }
INLINE real select_(mask m, real a, real b) { return m ? a : b; }
#define EACH(name, f) INLINE real name(real x) { for (int l = 0; l < LANES; l++) x[l] = f(x[l]); return x; }

#if defined(__clang__)
INLINE real sqrt_(real x) { return __builtin_elementwise_sqrt(x); }
#else
EACH(sqrt_, ::sqrt)
#endif

// exp and log for all lanes at once, as short chains of operations: a stage of a step waits for them. Errors are below
// 1 ulp, of exp from -708 to 709 (float: -87 to 88), beyond which it is 0 and infinity.
// exp: e^x = 2^k e^r, a polynomial that fits (e^r - 1 - r) / r^2 on |r| <= log(2)/2 to 1e-17 (float: that of Cephes).
// log: as in FreeBSD's libm.
#if SINGLE
INLINE real exp_(real x)
{
  const real magic = real_of(12582912.0f);  // 1.5 * 2^23
  const real clamped = select_(x > 88.0f, real_of(88.0f), select_(x < -87.0f, real_of(-87.0f), x));
  const real shifted = clamped * 1.44269504f + magic, k = shifted - magic;
  const real r = (clamped - k * 6.93145752e-1f) - k * 1.42860677e-6f;
  const real r2 = r * r, r4 = r2 * r2;
  const real p = ((5.0000001201e-1f + 1.6666665459e-1f * r) + (4.1665795894e-2f + 8.3334519073e-3f * r) * r2)
      + (1.3981999507e-3f + 1.9875691500e-4f * r) * r4;
  const real y = 1.0f + (r + r2 * p);
  const real scaled = (real) ((mask) y + (((mask) shifted - (mask) magic) << 23));
  const real bounded = select_(x > 88.0f, real_of(INFINITY), select_(x < -87.0f, real_of(0.0f), scaled));
  return select_(x == x, bounded, x);
}

INLINE real log_(real x)
{
  const mask small = x < 1.17549435e-38f;
  const mask bits = (mask) select_(small, x * 33554432.0f, x);  // 2^25
  const mask above = bits - 0x3f3504f3;  // than sqrt(1/2)
  const real m = (real) (bits - (above & -0x00800000));
  const real e = __builtin_convertvector((above >> 23) - (small & 25), real);
  const real f = m - 1.0f, s = f / (2.0f + f), z = s * s, w = z * z;
  const real r = z * (6.6666662693e-01f + w * 2.8498786688e-01f) + w * (4.0000972152e-01f + w * 2.4279078841e-01f);
  const real half = 0.5f * f * f;
  const real y = e * 6.9313812256e-01f - ((half - (s * (half + r) + e * 9.0580006145e-06f)) - f);
  const real bounded = select_(x < INFINITY, y, x);
  return select_(x > 0.0f, bounded, select_(x == 0.0f, real_of(-INFINITY), real_of(NAN)));
}
#else
INLINE real exp_(real x)
{
  const real magic = real_of(6755399441055744.0);  // 1.5 * 2^52: adding it rounds to a whole number
  const real clamped = select_(x > 709.0, real_of(709.0), select_(x < -708.0, real_of(-708.0), x));
  const real shifted = clamped * 1.44269504088896338700e+00 + magic, k = shifted - magic;
  const real r = (clamped - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
  const real r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;
  const real p = ((0.5 + 0.16666666666666669 * r) + (0.04166666666662413 + 0.008333333333330062 * r) * r2)
      + r4 * ((0.0013888888917213717 + 0.00019841269863053618 * r) + (2.4801521295954376e-05 + 2.7557268459997064e-06 * r) * r2)
      + r8 * (2.7620088445409746e-07 + 2.510038549551032e-08 * r);
  const real y = 1.0 + (r + r2 * p);
  const real scaled = (real) ((mask) y + (((mask) shifted - (mask) magic) << 52));
  const real bounded = select_(x > 709.0, real_of(INFINITY), select_(x < -708.0, real_of(0.0), scaled));
  return select_(x == x, bounded, x);
}

INLINE real log_(real x)
{
  const mask small = x < 2.2250738585072014e-308;
  const mask bits = (mask) select_(small, x * 18014398509481984.0, x);  // 2^54
  const mask above = bits - 0x3fe6a09e667f3bcdLL;  // than sqrt(1/2)
  const real m = (real) (bits - (above & -0x0010000000000000LL));
  const real e = __builtin_convertvector((above >> 52) - (small & 54), real);
  const real f = m - 1.0, s = f / (2.0 + f), z = s * s, w = z * z;
  const real r = z * (((6.666666666666735130e-01 + z * 3.999999999940941908e-01)
      + w * (2.857142874366239149e-01 + z * 2.222219843214978396e-01))
      + (w * w) * ((1.818357216161805012e-01 + z * 1.531383769920937332e-01) + w * 1.479819860511658591e-01));
  const real half = 0.5 * f * f;
  const real y = e * 6.93147180369123816490e-01 - ((half - (s * (half + r) + e * 1.90821492927058770002e-10)) - f);
  const real bounded = select_(x < INFINITY, y, x);
  return select_(x > 0.0, bounded, select_(x == 0.0, real_of(-INFINITY), real_of(NAN)));
}
#endif
#endif

// Quotients. CUDA's own have a branch and often a call, which saves registers; and a step waits for one pivot after the other.
// Here the hardware's first guess is refined by Newton's iteration, to within an ulp. Where the result is not finite (x is 0,
// infinite or no number), the guess is right. Subnormal numbers count as 0.
#if defined(__CUDA_ARCH__)
INLINE real guess_(real x)
{
  real r;
#if SINGLE
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
#else
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(r) : "d"(x));
#endif
  return r;
}
#endif

#if LANES == 1
INLINE real refined_(real x, real guess)
{
  real r = guess, e = ::fma(-x, r, real_of(1));
#if !SINGLE
  e = ::fma(e, e, e);
  r = ::fma(r, e, r);
  e = ::fma(-x, r, real_of(1));
#endif
  r = ::fma(r, e, r);
  return r - r == 0 ? r : guess;
}

// a / b from 1 / b.
INLINE real quotient_(real a, real b, real inverse)
{
  const real q = a * inverse, r = ::fma(::fma(-b, q, a), inverse, q);
  return r - r == 0 ? r : q;
}
#endif

#if defined(__CUDA_ARCH__)
INLINE real rcp_(real x) { return refined_(x, guess_(x)); }
INLINE real div_(real a, real b) { return quotient_(a, b, rcp_(b)); }
#else
INLINE real rcp_(real x) { return 1 / x; }
INLINE real div_(real a, real b) { return a / b; }
#endif

EACH(sin_, ::sin)
EACH(cos_, ::cos)
EACH(tan_, ::tan)
EACH(tanh_, ::tanh)
EACH(floor_, ::floor)
EACH(ceil_, ::ceil)
INLINE real abs_(real x) { return select_(x < 0, -x, x); }
INLINE real sign_(real x) { return select_(x > 0, real_of(1.0), select_(x < 0, real_of(-1), real_of(0.0))); }

INLINE bool all_finite(const double* x, int64 count)
{
  for (int64 i = 0; i < count; i++)
    if (!(x[i] - x[i] == 0.0)) return false;
  return true;
}

INLINE bool any_(mask m)
{
#if LANES == 1
  return m;
#else
  bool any = false;
  for (int l = 0; l < LANES; l++) any |= m[l] != 0;
  return any;
#endif
}

// Powers x^n e^(-m), as `hexamer.models.compiled.codegen.guarded_power` has them and says why: of x < 0 for whole n, at 0 with
// finite derivatives. Their arguments are what they share: l = log |x|, 0 for x = 0; r = x^n e^(-m) for x > 0,
// for derivatives r = x^(n-1) e^(-m); and e^(-m). An x not above 0 is rare, and has functions of its own.
INLINE real safe_log_(real x) { return log_(select_(x == 0, real_of(1.0), abs_(x))); }

// r for even whole n, -r for odd ones, 0 for others.
STATIC real signed_(real n, real r)
{
  const real half = n * scalar(0.5), other = (n - 1) * scalar(0.5);
  return select_(half == floor_(half), r, select_(other == floor_(other), -r, real_of(0.0)));
}

STATIC real power_below_(real x, real n, real r, real e)
{
  const real zero = select_(n == 0, e, select_(n < 0, real_of(INFINITY), real_of(0.0)));
  return select_(x < 0, signed_(n, r), select_(x == 0, zero, r));
}

STATIC real slope_below_(real x, real n, real r, real e)
{
  return select_(x < 0, n * signed_(n - 1, r), select_(x == 0, select_(n == 1, e, real_of(0.0)), r));
}

STATIC real curvature_below_(real x, real n, real r, real e)
{
  const real factor = n * (n - 1), below = select_(factor == 0, real_of(0.0), factor * (signed_(n - 1, r) / x));
  return select_(x < 0, below, select_(x == 0, select_(n == 2, 2 * e, real_of(0.0)), r));
}

STATIC real slope_by_exponent_below_(real x, real n, real l, real r)
{
  return select_(x < 0, (1 + n * l) * signed_(n - 1, r), select_(x == 0, real_of(0.0), r));
}

INLINE real power_(real x, real n, real, real r, real e)
{
  return __builtin_expect(any_(not_(x > 0)), 0) ? power_below_(x, n, r, e) : r;
}

// n x^(n-1)
INLINE real slope_(real x, real n, real, real r, real e)
{
  const real above = select_(n == 0, real_of(0.0), n * r);  // the power may be infinite
  return __builtin_expect(any_(not_(x > 0)), 0) ? select_(x > 0, above, slope_below_(x, n, r, e)) : above;
}

// n (n-1) x^(n-2)
INLINE real curvature_(real x, real n, real, real r, real e)
{
  const real factor = n * (n - 1);
  const real above = select_(factor == 0, real_of(0.0), factor * (r / x));
  return __builtin_expect(any_(not_(x > 0)), 0) ? select_(x > 0, above, curvature_below_(x, n, r, e)) : above;
}

// d/dn of n x^(n-1)
INLINE real slope_by_exponent_(real x, real n, real l, real r, real)
{
  const real above = (1 + n * l) * r;
  return __builtin_expect(any_(not_(x > 0)), 0) ? select_(x > 0, above, slope_by_exponent_below_(x, n, l, r)) : above;
}

INLINE real guarded_inverse_(real x) { return select_(x == 0, real_of(0.0), rcp_(x)); }

// What keeps quotients in range, as `hexamer.models.compiled.stable` says.
INLINE real excess_(real x)
{
  const real room = real_of(SINGLE ? 20 : 150);
  return select_(x > room, x - room, select_(x < -room, x + room, real_of(0.0)));
}

INLINE real log_size_(real x) { return select_(x == 0, real_of(-1e4), safe_log_(x)); }

INLINE real fade_(real m) { return any_(not_(m == 0)) ? exp_(-m) : real_of(1.0); }
