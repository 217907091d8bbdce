// The absolute tolerance of each species, if it follows the species' own scale: rtol * FLOOR * scale. The rules are those of
// `hexamer.models.solvers.scale`. A species' scale is the smallest number that it starts from or is set to; of one that
// starts at 0, what a few implicit Euler steps over the time ahead come to. So a model in other units takes the same steps.
#pragma once
#include "rodas5p.h"

STATIC Tolerances any_tolerances()
{
  Tolerances x;
  x.rtol = real_of(1.0);
  for (int n = 0; n < SPECIES; n++) x.atol[n] = x.scale[n] = real_of(1.0);
  return x;
}

INLINE double floor_of(double rtol, double scale)
{
  const double x = rtol * FLOOR * ::fabs(scale);
  return x > LEAST_FLOOR ? x : LEAST_FLOOR;
}

// Absolute tolerances that go with another `rtol`.
STATIC void floors(const Plan& plan, const Tolerances& tolerance, const real rtol, real* atol)
{
  for (int n = 0; n < SPECIES; n++) {
    const real x = rtol * scalar(FLOOR) * abs_(tolerance.scale[n]);
    atol[n] = plan.follows ? select_(x > scalar(LEAST_FLOOR), x, real_of(LEAST_FLOOR)) : tolerance.atol[n];
  }
}

// The absolute tolerances of a pre-equilibration.
STATIC void steady_floors(const Batch& b, int64 set, int64 where, double rtol, double* atol)
{
  const double* scale = steady_row(b, where, STEADY_SCALE);
  for (int n = 0; n < SPECIES; n++) atol[n] = b.plan.follows ? floor_of(rtol, scale[n]) : tolerances_of(b, set)[SET_ATOL];
}

INLINE void take_smaller(real& scale, int lane, double x)
{
  x = ::fabs(x);
  if (x > 0.0 && x < INFINITY && !(AT(scale, lane) > 0.0 && AT(scale, lane) <= x)) AT(scale, lane) = x;
}

// The scales of a lane that follow from the start and the doses of its course. What lies below its tolerance in a steady state
// counts as 0.
STATIC void know_scales(const Batch& b, int64 set, int protocol, int lane, const real* y, Tolerances& tolerance)
{
  const Plan& plan = b.plan;
  if (!plan.follows) return;
  const double* values = b.environment + set * plan.slots;
  const int before = plan.equilibration_of[protocol];
  double least[SPECIES];
  for (int n = 0; n < SPECIES; n++) least[n] = 0.0;
  if (before >= 0) steady_floors(b, set, set * plan.equilibrations + before, tolerances_of(b, set)[SET_RTOL], least);
  for (int n = 0; n < SPECIES; n++) {
    real& scale = tolerance.scale[n];
    AT(scale, lane) = 0.0;
    if (n == TIME_STATE) continue;
    if (::fabs(AT(y[n], lane)) > least[n]) take_smaller(scale, lane, AT(y[n], lane));
    for (int s = 0; s < plan.segments; s++) {
      const int64 where = ((int64)protocol * plan.segments + s) * SPECIES + n;
      if (plan.assign[where] >= 0) take_smaller(scale, lane, values[plan.assign[where]]);
      take_smaller(scale, lane, values[plan.add[where]]);
    }
  }
}

// Raises `ahead` to what the rates at x come to over `span`.
STATIC void look(const real* x, const real* q, const real span, real* ahead)
{
  real f[SPECIES];
  rates(x, q, f);
  for (int n = 0; n < SPECIES; n++) {
    const real size = abs_(f[n]) * span;
    ahead[n] = select_(and_(size > ahead[n], size < INFINITY), size, ahead[n]);
  }
}

// The first size other than 0, and the largest, that each species reaches in implicit Euler steps over `span`, each SCOUT_RATIO
// times as long as the one before. `ahead`: what the rates come to over `span`, after the last step and at moments within it.
STATIC void scout(const real* y, const real* q, const real span, real* first, real* most, real* ahead)
{
  real x[SPECIES], f[SPECIES], w[FACTORS], h = span;
  for (int i = 1; i < SCOUTS; i++) h = h * scalar(1.0 / SCOUT_RATIO);
  for (int n = 0; n < SPECIES; n++) x[n] = y[n], first[n] = most[n] = ahead[n] = real_of(0.0);
  for (int i = 0; i < SCOUTS; i++) {
    linearise(x, q, scalar(GAMMA) / h, w);
    rates(x, q, f);
    solve(w, f);
    mask good = h > 0;
    for (int n = 0; n < SPECIES; n++) good = and_(good, abs_(f[n]) < INFINITY);
    for (int n = 0; n < SPECIES; n++) {
      const real next = x[n] + f[n], size = abs_(next);
      first[n] = select_(and_(good, not_(first[n] > 0)), size, first[n]);
      most[n] = select_(and_(good, size > most[n]), size, most[n]);
      x[n] = select_(good, select_(and_(next < 0, not_(y[n] < 0)), real_of(0.0), next), x[n]);
    }
    h = h * scalar(SCOUT_RATIO);
  }
  look(x, q, span, ahead);
  if (TIMED)
    for (int i = 0; i < MOMENTS; i++) {
      for (int n = 0; n < SPECIES; n++) x[n] = y[n];
      x[TIME_STATE < 0 ? 0 : TIME_STATE] += span * scalar((i + 0.5) / MOMENTS);
      look(x, q, span, ahead);
    }
}

// The tolerances of the lanes that begin a stretch of length `span`. If `scout` finds nothing, as for a complex whose ligand is
// not there yet, the scale is far below the largest, and negative: it is asked for again at the next stretch.
STATIC void follow(const real* y, const real* q, const real span, const bool* fresh, Tolerances& tolerance)
{
  bool any = false;
  for (int l = 0; l < LANES; l++)
    for (int n = 0; n < SPECIES; n++) any |= fresh[l] && !(AT(tolerance.scale[n], l) > 0.0);
  if (any) {
    real first[SPECIES], most[SPECIES], ahead[SPECIES];
    scout(y, q, span, first, most, ahead);
    for (int l = 0; l < LANES; l++) {
      if (!fresh[l]) continue;
      double known = 0.0, largest = 0.0;
      for (int n = 0; n < SPECIES; n++)
        if (n != TIME_STATE && AT(tolerance.scale[n], l) > known) known = AT(tolerance.scale[n], l);
      for (int n = 0; n < SPECIES; n++) {
        real& scale = tolerance.scale[n];
        const double early = AT(first[n], l), met = AT(most[n], l), rate = AT(ahead[n], l), far = met > rate ? met : rate;
        const double estimate = met > 0.0 ? met : rate, least = FAINT * known, share = SHARE * known;
        const double alone = !(early > 0.0) ? FAINT * far : early > FAINTEST * far ? early : FAINTEST * far;
        if (!(AT(scale, l) > 0.0) && estimate > 0.0)
          AT(scale, l) = !(known > 0.0) ? alone : estimate < least ? least : estimate < share ? estimate : share;
        if (n != TIME_STATE && AT(scale, l) > largest) largest = AT(scale, l);
      }
      for (int n = 0; n < SPECIES; n++)
        if (!(AT(tolerance.scale[n], l) > 0.0)) AT(tolerance.scale[n], l) = -FAINT * largest;
    }
  }
  for (int n = 0; n < SPECIES; n++)
    for (int l = 0; l < LANES; l++)
      if (fresh[l]) AT(tolerance.atol[n], l) = floor_of(AT(tolerance.rtol, l), AT(tolerance.scale[n], l));
}
