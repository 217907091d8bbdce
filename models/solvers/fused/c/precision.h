// Beside `real`, in which steps are computed, `exact`, which is always a double: for time and the sizes of steps, since t + h
// must not be t; for what is computed once per segment, since parameters may be of any size; and for steady states.
#pragma once
#include "lanes.h"
#include "model.h"
#include "steady_norm.h"

#if SINGLE
typedef Exact::real exact;
typedef Exact::mask exact_mask;

#if LANES == 1
INLINE real narrow_(exact x) { return (real)x; }
INLINE exact widen_(real x) { return x; }
INLINE exact_mask widen_(mask m) { return m; }
#else
INLINE real narrow_(exact x) { return __builtin_convertvector(x, real); }
INLINE exact widen_(real x) { return __builtin_convertvector(x, exact); }
INLINE exact_mask widen_(mask m) { return __builtin_convertvector(m, exact_mask); }
#endif

INLINE exact exact_of(double x) { return Exact::real_of(x); }
INLINE exact select_(exact_mask m, exact a, exact b) { return Exact::select_(m, a, b); }

// A coefficient as a float. One beyond the range of floats is NaN, so that its trajectory fails.
INLINE float within(double x)
{
  const double size = ::fabs(x);
  return size == 0.0 || (size > 1e-37 && size < 1e37) ? (float)x : (float)NAN;
}

INLINE const exact* widened(const real* x, exact* room, int count)
{
  for (int i = 0; i < count; i++) room[i] = widen_(x[i]);
  return room;
}

// The model's functions in doubles, by the same names.
INLINE void coefficients(const exact* p, exact* x) { Exact::coefficients(p, x); }
INLINE void initial(const exact* p, exact* x) { Exact::initial(p, x); }
INLINE void weights(const exact* p, exact* x) { Exact::weights(p, x); }
INLINE void switch_times(const exact* p, exact* x) { Exact::switch_times(p, x); }
INLINE void pull_coefficients(const exact* p, const exact* u, exact* p_bar) { Exact::pull_coefficients(p, u, p_bar); }
INLINE void pull_initial(const exact* p, const exact* u, exact* p_bar) { Exact::pull_initial(p, u, p_bar); }
INLINE void pull_switch_times(const exact* p, const exact* u, exact* p_bar) { Exact::pull_switch_times(p, u, p_bar); }
INLINE void pull_weights(const exact* p, const exact* u, exact* p_bar) { Exact::pull_weights(p, u, p_bar); }
INLINE void triggers(const exact* p, exact* x) { Exact::triggers(p, x); }
INLINE void at_start(const exact* p, const exact start, exact* x) { Exact::at_start(p, start, x); }
INLINE void set_by(int e, const exact* y, const exact* p, exact* x) { Exact::set_by(e, y, p, x); }
INLINE void pull_set_by(int e, const exact* y, const exact* p, const exact* u, exact* y_bar, exact* p_bar)
{
  Exact::pull_set_by(e, y, p, u, y_bar, p_bar);
}
INLINE void forget_set_by(int e, exact* u) { Exact::forget_set_by(e, u); }
#ifdef RANKED
INLINE void priorities(const exact* y, const exact* p, exact* x) { Exact::priorities(y, p, x); }
#endif
INLINE void rates(const exact* y, const exact* q, exact* f) { Exact::rates(y, q, f); }
INLINE void jacobian(const exact* y, const exact* q, exact* j) { Exact::jacobian(y, q, j); }
INLINE void pull_rates(const exact* y, const exact* q, const exact* u, exact* y_bar, exact* q_bar)
{
  Exact::pull_rates(y, q, u, y_bar, q_bar);
}
INLINE exact steady_residual(const exact* y, const exact* q, const exact rtol, const exact* atol)
{
  return Exact::steady_residual(y, q, rtol, atol);
}
INLINE exact residual_but_rounding(const exact* y, const exact* q, const exact rtol, const exact* atol)
{
  return Exact::residual_but_rounding(y, q, rtol, atol);
}
#else
typedef real exact;
typedef mask exact_mask;
INLINE real narrow_(real x) { return x; }
INLINE mask widen_(mask m) { return m; }
INLINE real exact_of(double x) { return real_of(x); }
INLINE double within(double x) { return x; }
INLINE const real* widened(const real* x, real*, int) { return x; }
#endif
