// Steps that no solution takes, whatever their error. `hexamer.models.solvers.step_control.Controller` refuses the same and says
// why.
#pragma once
#include "constants.h"
#include "lanes.h"
#include "model.h"

// Lanes in whose rates a root or real power has a negative base, by more than the solver's error.
STATIC mask undefined(const real* y, const real* q, const real rtol, const real* atol)
{
  mask bad = real_of(1.0) < 0;
  if (MARGINS_USED > 0) {
    real margin[MARGINS];
    margins(y, q, rtol, atol, margin);
    for (int i = 0; i < MARGINS_USED; i++) bad = or_(bad, margin[i] < 0);
  }
  return bad;
}

// A concentration that is below 0 by more than the solver's error.
INLINE mask below(int n, const real x, const real size, const real rtol, const real* atol)
{
  return x < -scalar(TOLERATED) * (atol[n] + rtol * size);
}

STATIC void note_free(const real* y, const real rtol, const real* atol, int lane, mask* free)
{
  for (int n = 0; n < SPECIES; n++) {
    const mask low = below(n, y[n], abs_(y[n]), rtol, atol);
    AT(free[n], lane) = nonnegative(n) ? AT(low, lane) : 0;
  }
}

// Lanes in which a concentration falls below 0 although its rate at 0 is positive: by more than the solver's error, or over a
// pole, behind which its rate is negative. One whose rate at 0 is negative may fall.
STATIC mask fallen(const real* y, const real* y1, const real* q, const real rtol, const real* atol, const mask good, mask* free)
{
  const mask none = real_of(1.0) < 0;
  mask bad = none, any = none, low[SPECIES], over[SPECIES];
  for (int n = 0; n < SPECIES; n++) {
    over[n] = and_(y1[n] < -scalar(NOISE) * atol[n], not_(y[n] < 0));
    if (nonnegative(n)) any = or_(any, or_(over[n], below(n, y1[n], real_of(0.0), rtol, atol)));
  }
  if (!any_(any)) return bad;
  real z[SPECIES], at_0[SPECIES], there[SPECIES];
  for (int n = 0; n < SPECIES; n++) {
    const real a = abs_(y[n]), b = abs_(y1[n]);
    const mask watched = nonnegative(n) ? and_(good, not_(free[n])) : none;
    low[n] = and_(and_(below(n, y1[n], select_(a < b, b, a), rtol, atol), y1[n] < y[n]), watched);
    over[n] = and_(over[n], watched);
    z[n] = select_(or_(low[n], over[n]), real_of(0.0), y1[n]);
  }
  rates(z, q, at_0);
  rates(y1, q, there);
  for (int n = 0; n < SPECIES; n++) {
    const mask falls = at_0[n] < 0, wrong = or_(low[n], and_(over[n], there[n] < 0));
    bad = or_(bad, and_(wrong, not_(falls)));
    free[n] = or_(free[n], and_(low[n], falls));
  }
  return bad;
}
