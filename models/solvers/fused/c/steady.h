// Steady states, as starts of trajectories: the search for them.
//
// A start is integrated at loose tolerances until the residual is below a threshold at the set's own tolerance. Then Newton's
// iteration polishes it (steady_newton.h). The criteria are those of `hexamer.models.solvers.reference.steady_state`.
#pragma once
#include "queue.h"
#include "step_control.h"

STATIC const int* steady_parameters(const Batch& b, int64 item)
{
  return b.plan.equilibration_parameters + (item / b.sets) * PARAMETERS;
}

STATIC double steady_moment(const Batch& b, int64 item) { return b.plan.equilibration_moment[item / b.sets]; }

STATIC int64 steady_place(const Batch& b, int64 item)
{
  return (item % b.sets) * b.plan.equilibrations + item / b.sets;
}

STATIC void load_start(const Batch& b, int64 item, int lane, exact* y)
{
  const int* set = b.plan.equilibration_set + (item / b.sets) * SPECIES;
  load_initial(b, item % b.sets, steady_parameters(b, item), lane, y);
  for (int n = 0; n < SPECIES; n++)
    if (set[n] >= 0) AT(y[n], lane) = b.environment[item % b.sets * b.plan.slots + set[n]];
}

// A lane's search for a steady state.
struct Search {
  int64 item;
  int tried;
  bool alive;
};

STATIC void end_search(const Batch& b, Search& s, int lane, const real* y, const Tolerances& tolerance, int status)
{
  const int64 where = steady_place(b, s.item);
  double *state = steady_row(b, where, STEADY_STATE), *scale = steady_row(b, where, STEADY_SCALE);
  for (int n = 0; n < SPECIES; n++) state[n] = AT(y[n], lane);
  if (TIME_STATE >= 0) state[TIME_STATE] = steady_row(b, where, STEADY_START)[TIME_STATE];
  for (int n = 0; n < SPECIES; n++) scale[n] = AT(tolerance.scale[n], lane);
  b.steady_status[where] = status;
  b.steady_steps[where] = s.tried;
  s.alive = false;
}

// The relative tolerance of the steps towards a steady state.
INLINE real on_the_way(const real rtol)
{
  return select_(rtol > scalar(ON_THE_WAY_RTOL), rtol, real_of(ON_THE_WAY_RTOL));
}

// Puts the next item of the queue into a lane. `strict`: its own rtol; `tolerance` has the one of the search.
STATIC void load_search(const Batch& b, Queue& queue, Search& s, int lane, Pace& pace, Tolerances& tolerance, real& strict,
                        real* y, real* q, exact& t)
{
  for (s.alive = false; !s.alive;) {
    if (!take(queue, &s.item)) return;
    s.tried = 0;
    s.alive = load_tolerances(b, s.item % b.sets, lane, tolerance);
    if (!s.alive) end_search(b, s, lane, y, tolerance, NOT_FINITE);
  }
  AT(strict, lane) = AT(tolerance.rtol, lane);
  AT(tolerance.rtol, lane) = AT(on_the_way(tolerance.rtol), lane);
  load_coefficients(b, s.item % b.sets, steady_parameters(b, s.item), steady_moment(b, s.item), lane, q);
  exact first[SPECIES];
  load_start(b, s.item, lane, first);
  double* start = steady_row(b, steady_place(b, s.item), STEADY_START);
  for (int n = 0; n < SPECIES; n++) {
    start[n] = AT(first[n], lane);
    AT(y[n], lane) = start[n];
    AT(tolerance.scale[n], lane) = ::fabs(start[n]);
  }
  AT(t, lane) = 0.0;
  pace.fresh[lane] = true;
}

// Integrates until the residual is below the threshold.
STATIC void find_steady_states(const Batch& b, Queue& queue)
{
  const Plan& plan = b.plan;
  real y[SPECIES], q[COEFFICIENTS], y1[SPECIES], k[STAGES * SPECIES];
  exact t = exact_of(0.0);
  const exact far = exact_of(HORIZON);
  Pace pace = {};
  pace.h = exact_of(1.0);
  Tolerances loose = any_tolerances();
  real strict = real_of(1.0), atol[SPECIES];  // of the steady state; `loose`: of the steps towards it
  Search search[LANES];
  for (int n = 0; n < SPECIES; n++) y[n] = real_of(1.0);
  for (int i = 0; i < COEFFICIENTS; i++) q[i] = real_of(1.0);
  for (int l = 0; l < LANES; l++) load_search(b, queue, search[l], l, pace, loose, strict, y, q, t);
  for (;;) {
    bool any = false;
    for (int l = 0; l < LANES; l++) any |= search[l].alive;
    if (!any_thread(any)) return;
    set_out(plan, pace, y, q, loose, narrow_(far), narrow_(far));
    together();
    const exact step = select_(t + pace.h >= far, far - t, pace.h);
    const real error = judged(pace, y, y1, q, loose, attempt(y, q, narrow_(step), loose, k, y1));
    const mask good = error <= 1;
    const real factor = growth(error);
    for (int n = 0; n < SPECIES; n++) y[n] = select_(good, y1[n], y[n]);
    t = select_(widen_(good), t + step, t);
    floors(plan, loose, strict, atol);
    const real residual = steady_residual(y, q, strict, atol);
    for (int l = 0; l < LANES; l++) {
      Search& s = search[l];
      if (!s.alive) continue;
      s.tried++;
      const bool accepted = AT(good, l) != 0, increased = adapt(pace, l, accepted, AT(factor, l), AT(step, l), INFINITY);
      if (accepted && AT(residual, l) <= THRESHOLD) {
        end_search(b, s, l, y, loose, OK);
      } else if (!increased && !(AT(pace.h, l) > 1e-12)) {
        end_search(b, s, l, y, loose, !(AT(error, l) < INFINITY) ? NOT_FINITE : STEP_TOO_SMALL);
      } else if (AT(t, l) >= HORIZON) {
        const bool found = AT(residual_but_rounding(y, q, strict, atol), l) <= THRESHOLD;
        end_search(b, s, l, y, loose, found ? OK : NO_STEADY_STATE);
      } else if (s.tried >= plan.max_steps) {
        end_search(b, s, l, y, loose, TOO_MANY_STEPS);
      }
      if (!s.alive) load_search(b, queue, s, l, pace, loose, strict, y, q, t);
    }
  }
}
