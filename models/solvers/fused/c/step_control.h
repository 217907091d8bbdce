// How long the next step is, and which steps are accepted. `hexamer.models.solvers.step_control` has the same rules.
#pragma once
#include "refuse.h"
#include "rodas5p.h"
#include "scale.h"

// The factor of the next step's size, from the square of an error that is proportional to h^5.
STATIC real growth(const real error)
{
  const real e = select_(error < scalar(1e-10), real_of(1e-10), error);
  const real factor = scalar(0.9) * exp_(scalar(-0.1) * log_(e));
  const real bounded = select_(factor > 8, real_of(8.0), select_(factor < scalar(0.2), real_of(0.2), factor));
  return select_(error < INFINITY, bounded, real_of(0.2));
}

STATIC real size_of(const real* x, const real* y, const Tolerances& tolerance)
{
  real total = real_of(0.0);
  for (int n = 0; n < SPECIES; n++) {
    const real q = x[n] / (tolerance.atol[n] + tolerance.rtol * abs_(y[n]));
    total += q * q;
  }
  return sqrt_(total * scalar(1.0 / SPECIES));
}

// A first step (Hairer, Norsett, Wanner, Solving ODEs I, II.4); not finite if f is not.
STATIC real first_step(const real* y, const real* q, const Tolerances& tolerance, const real longest)
{
  real f[SPECIES], s[SPECIES], g[SPECIES];
  rates(y, q, f);
  const real d0 = size_of(y, y, tolerance), d1 = size_of(f, y, tolerance);
  const real tiny = scalar(1e-6) * longest;
  real h = select_(or_(d0 < scalar(1e-5), d1 < scalar(1e-5)), tiny, scalar(0.01) * d0 / d1);
  h = select_(h > longest, longest, h);
  for (int n = 0; n < SPECIES; n++) s[n] = y[n] + h * f[n];
  rates(s, q, g);
  for (int n = 0; n < SPECIES; n++) g[n] = g[n] - f[n];
  const real d2 = size_of(g, y, tolerance) / h, d = select_(d1 > d2, d1, d2);
  real second = exp_(scalar(0.2) * (log_(real_of(0.01)) - log_(select_(d > scalar(1e-15), d, real_of(1e-15)))));
  second = select_(second > 100 * h, 100 * h, second);
  second = select_(second > longest, longest, second);
  return select_(d1 < INFINITY, second, real_of(NAN));
}

// The sizes of the next steps, one per lane.
struct Pace {
  exact h;
  bool fresh[LANES], refused_last[LANES];  // at the start of a stretch; after a refused step
  mask free[SPECIES];                      // concentrations that may be below 0
};

// Absolute tolerances by which a state below 0 is judged: no finer than the rounding of the largest species.
STATIC void judging(const real* y, const Tolerances& tolerance, real* atol)
{
  real most = real_of(0.0);
  for (int n = 0; n < SPECIES; n++) {
    const real size = abs_(y[n]);
    if (n != TIME_STATE) most = select_(most < size, size, most);
  }
  for (int n = 0; n < SPECIES; n++) {
    const real least = scalar(CLUTTER) * most;
    atol[n] = select_(tolerance.atol[n] < least, least, tolerance.atol[n]);
  }
}

// The error of a step from y to y1; infinite if no solution takes it (refuse.h).
STATIC real judged(Pace& pace, const real* y, const real* y1, const real* q, const Tolerances& tolerance, const real error)
{
  real atol[SPECIES];
  judging(y, tolerance, atol);
  const mask fell = fallen(y, y1, q, tolerance.rtol, atol, error <= 1, pace.free);
  return select_(or_(fell, undefined(y1, q, tolerance.rtol, atol)), real_of(INFINITY), error);
}

// `attempt`. After a refusal, a step that is negligibly short is accepted if its error is rounding of the largest species: so
// steps pass a moment at which a condition on the state switches.
STATIC real attempt_within(const Pace& pace, const real* y, const real* q, const exact h, const exact span,
                           const Tolerances& tolerance, real* k, real* y1)
{
  bool any = false;
  real short_ = real_of(0.0);
  for (int l = 0; l < LANES; l++)
    if (pace.refused_last[l] && AT(h, l) < TINY * AT(span, l)) {
      AT(short_, l) = 1;
      any = true;
    }
  Tolerances loose;
  if (any) {
    real atol[SPECIES];
    judging(y, tolerance, atol);
    loose = tolerance;
    for (int n = 0; n < SPECIES; n++) loose.atol[n] = select_(short_ > 0, atol[n], tolerance.atol[n]);
  }
  together();
  // One call, so that a lane's numbers do not depend on how the compiler rounds in another copy of it.
  return attempt(y, q, narrow_(h), any ? loose : tolerance, k, y1);
}

// Tolerances and first steps of the lanes that begin a stretch of length `span`.
STATIC void set_out(const Plan& plan, Pace& pace, const real* y, const real* q, Tolerances& tolerance, const real longest,
                    const real span)
{
  bool any = false;
  for (int l = 0; l < LANES; l++) any |= pace.fresh[l];
  if (!any) return;
  if (plan.follows) follow(y, q, span, pace.fresh, tolerance);
  real atol[SPECIES];
  judging(y, tolerance, atol);
  const mask bad = undefined(y, q, tolerance.rtol, atol);
  const real guess = select_(bad, real_of(NAN), first_step(y, q, tolerance, longest));
  for (int l = 0; l < LANES; l++)
    if (pace.fresh[l]) {
      note_free(y, tolerance.rtol, atol, l, pace.free);
      pace.fresh[l] = pace.refused_last[l] = false;
      AT(pace.h, l) = AT(guess, l);
    }
}

// The size of a lane's next step, after one that was accepted or refused; true if it increased.
STATIC bool adapt(Pace& pace, int lane, bool accepted, double factor, double step, double longest)
{
  if (factor > 1.0 && (!accepted || pace.refused_last[lane])) factor = 1.0;
  if (!accepted && factor > 0.9) factor = 0.9;
  pace.refused_last[lane] = !accepted;
  const double next = step * factor;
  AT(pace.h, lane) = next > longest ? longest : next;
  return factor > 1.0;
}
