// How far a state is from a steady one.
#pragma once
#include "constants.h"
#include "lanes.h"
#include "model.h"

// The largest |f_i| per unit of time, in units of the tolerance. With `rounding`: a rate of change that is a difference of large
// rates is off by their rounding, which no state makes smaller; that much, four half-ulps of a_i = sum_j |J_ij y_j|, does not
// count.
STATIC real residual_of(const real* y, const real* q, const real rtol, const real* atol, const bool rounding)
{
  real f[SPECIES], most = real_of(0.0);
  rates(y, q, f);
  if (rounding) {
    real j[ENTRIES], a[SPECIES];
    jacobian(y, q, j);
    for (int n = 0; n < SPECIES; n++) a[n] = real_of(0.0);
    for (int e = 0; e < ENTRIES_USED; e++) a[row_of(e)] += abs_(j[e] * y[column_of(e)]);
    for (int n = 0; n < SPECIES; n++) {
      const real excess = abs_(f[n]) - scalar(SINGLE ? 4 * 5.9604645e-8 : 4 * 1.1102230246251565e-16) * a[n];
      f[n] = select_(excess < 0, real_of(0.0), excess);
    }
  }
  const real strict = select_(rtol < scalar(STRICTEST), rtol, real_of(STRICTEST));
  for (int n = 0; n < SPECIES; n++) {
    if (n == TIME_STATE) continue;
    const real size = abs_(f[n]) / (atol[n] + strict * abs_(y[n]));
    most = select_(size <= most, most, size);  // a NaN stays
  }
  return most;
}

// What the search looks at after each step; in float64 rounding hardly ever counts, and the Jacobian takes its time.
INLINE real steady_residual(const real* y, const real* q, const real rtol, const real* atol)
{
  return residual_of(y, q, rtol, atol, SINGLE);
}

INLINE real residual_but_rounding(const real* y, const real* q, const real rtol, const real* atol)
{
  return residual_of(y, q, rtol, atol, true);
}
