// Steady states, polished by Newton's iteration on the reduced system.
#pragma once
#include "steady.h"
#include "steady_matrix.h"

// Sets the switches of a pre-equilibration: 1 for those before the moment at which its course starts. Each lane of p has the
// parameters of one item.
STATIC void steady_switches(const Batch& b, const int64* item, int count, exact* p)
{
  if (SWITCHES == 0) return;
  exact times[SWITCHES + 1];
  switch_times(p, times);
  for (int k = 0; k < SWITCHES; k++) {
    p[PARAMETERS + k] = exact_of(0.0);
    for (int l = 0; l < count; l++)
      if (AT(times[k], l) < steady_moment(b, item[l])) AT(p[PARAMETERS + k], l) = 1.0;
  }
}

// True if the steady state y of one lane depends on the way there: something moved that no equation determines. `least`: how
// far each species may be off.
STATIC bool path_dependent(const exact* j, const exact* weight, const exact* y, const double* start, const double* atol,
                           const double* least, int lane)
{
  double a[SPECIES * SPECIES], moved[SPECIES], allowed[SPECIES];
  bool constant[SPECIES], conserved[SPECIES];
  reduced_matrix(j, weight, lane, false, a, constant);
  ROLLED for (int n = 0; n < SPECIES; n++) {
    moved[n] = ::fabs(AT(y[n], lane) - start[n]);
    allowed[n] = least[n] + DRIFT * ::fabs(AT(y[n], lane));
    conserved[n] = constant[n] && n != TIME_STATE;
  }
  ROLLED for (int m = 0; m < MOIETIES; m++) conserved[dependent(m)] = false;
  ROLLED for (int n = 0; n < SPECIES; n++)
    if (conserved[n] && moved[n] > allowed[n]) return true;
  add_conserved_sums(a, constant, y, atol, lane, conserved);
  ROLLED for (int n = 0; n < SPECIES; n++) {
    if (!conserved[n]) continue;
    double gone = 0.0, most = 0.0;
    ROLLED for (int c = 0; c < SPECIES; c++) {
      gone += ::fabs(a[n * SPECIES + c]) * moved[c];
      most += ::fabs(a[n * SPECIES + c]) * allowed[c];
    }
    if (gone > most) return true;
  }
  return false;
}

// Steady states that are polished side by side, one per lane.
struct Polished {
  int64 item[LANES];
  int count;
  exact y[SPECIES], searched[SPECIES];  // now, and at the end of the search
  exact q[COEFFICIENTS], weight[COUNTED + 1];
  double atol[LANES][SPECIES];
  double start[LANES][SPECIES];
};

// Takes up to LANES steady states from the queue; false if none is left.
INLINE bool load_polished(const Batch& b, Queue& queue, Polished& s)
{
  exact p[ARGUMENTS];
  s.count = 0;
  for (int n = 0; n < SPECIES; n++) s.y[n] = exact_of(1.0);
  for (int i = 0; i < PARAMETERS; i++) p[i] = exact_of(1.0);
  while (s.count < LANES && take(queue, &s.item[s.count])) {
    const int l = s.count;
    const int64 where = steady_place(b, s.item[l]), set = s.item[l] % b.sets;
    if (b.steady_status[where] != OK) continue;
    const double* values = b.environment + set * b.plan.slots;
    for (int i = 0; i < PARAMETERS; i++) AT(p[i], l) = values[steady_parameters(b, s.item[l])[i]];
    steady_floors(b, set, where, tolerances_of(b, set)[SET_RTOL], s.atol[l]);
    for (int n = 0; n < SPECIES; n++) {
      AT(s.y[n], l) = steady_row(b, where, STEADY_STATE)[n];
      s.start[l][n] = steady_row(b, where, STEADY_START)[n];
    }
    s.count++;
  }
  if (!s.count) return false;
  steady_switches(b, s.item, s.count, p);
  weights(p, s.weight);
  coefficients(p, s.q);
  for (int n = 0; n < SPECIES; n++) s.searched[n] = s.y[n];
  return true;
}

// Newton's step of one lane, G_y^-1 G; false if there is none.
INLINE bool newton_step(const Polished& s, const exact* f, const exact* j, int l, double* g)
{
  double a[SPECIES * SPECIES], right[SPECIES];
  bool constant[SPECIES];
  reduced_matrix(j, s.weight, l, false, a, constant);
  ROLLED for (int n = 0; n < SPECIES; n++) g[n] = constant[n] ? AT(s.y[n], l) - s.start[l][n] : AT(f[n], l);
  ROLLED for (int m = 0; m < MOIETIES; m++) g[dependent(m)] = 0.0;
  ROLLED for (int k = 0; k < COUNTED; k++) {
    const int n = sum_column(k);
    g[dependent(sum_row(k))] += sum_number(k) * AT(s.weight[k], l) * (AT(s.y[n], l) - s.start[l][n]);
  }
  ROLLED for (int n = 0; n < SPECIES; n++) right[n] = g[n];
  if (solve_dense(a, g, SINGULAR)) return true;
  bool conserved[SPECIES];
  reduced_matrix(j, s.weight, l, false, a, constant);
  add_conserved_sums(a, constant, s.y, s.atol[l], l, conserved);
  ROLLED for (int n = 0; n < SPECIES; n++) {
    g[n] = right[n];
    if (!conserved[n]) continue;
    g[n] = 0.0;
    ROLLED for (int c = 0; c < SPECIES; c++) g[n] += a[n * SPECIES + c] * (AT(s.y[c], l) - s.start[l][c]);
  }
  return solve_dense(a, g, 0.0);
}

// Newton's iteration on each lane, until it has converged or there is no step.
INLINE void iterate(Polished& s)
{
  bool moving[LANES];
  exact f[SPECIES], j[ENTRIES];
  for (int l = 0; l < s.count; l++) moving[l] = true;
  ROLLED for (int iteration = 0; iteration < (SINGLE ? 2 : 1) * NEWTON_ITERATIONS; iteration++) {
    bool any = false;
    for (int l = 0; l < s.count; l++) any |= moving[l];
    if (!any) return;
    rates(s.y, s.q, f);
    jacobian(s.y, s.q, j);
    for (int l = 0; l < s.count; l++) {
      if (!moving[l]) continue;
      double g[SPECIES];
      bool converged = newton_step(s, f, j, l, g);
      if (!converged) { moving[l] = false; continue; }
      for (int n = 0; n < SPECIES; n++) {
        AT(s.y[n], l) -= g[n];
        converged &= ::fabs(g[n]) <= 1e-13 * ::fabs(AT(s.y[n], l)) + 1e-6 * s.atol[l][n];
      }
      moving[l] = !converged;
    }
  }
}

// Stores the polished states that are steady and near the ends of the search; for others the ends of the search.
INLINE void store(const Batch& b, Polished& s)
{
  const double near = SINGLE ? 1e-1 : 1e-2;
  exact rtol = exact_of(1.0), atol[SPECIES];
  for (int n = 0; n < SPECIES; n++) atol[n] = exact_of(1.0);
  for (int l = 0; l < s.count; l++) {
    AT(rtol, l) = tolerances_of(b, s.item[l] % b.sets)[SET_RTOL];
    for (int n = 0; n < SPECIES; n++) AT(atol[n], l) = s.atol[l][n];
  }
  const exact residual = residual_but_rounding(s.y, s.q, rtol, atol);
  const exact before = SINGLE ? steady_residual(s.searched, s.q, rtol, atol) : residual;
  for (int l = 0; l < s.count; l++) {
    bool good = AT(residual, l) <= THRESHOLD;
    for (int n = 0; n < SPECIES; n++) {
      const double x = AT(s.y[n], l), x0 = AT(s.searched[n], l);
      good &= ::fabs(x - x0) <= near * ::fabs(x0) + 1e3 * s.atol[l][n];
      good &= x >= (x0 < 0.0 ? x0 : 0.0) - s.atol[l][n];
    }
    const int64 where = steady_place(b, s.item[l]);
    if (!good && SINGLE && !(AT(before, l) <= THRESHOLD)) b.steady_status[where] = NO_STEADY_STATE;
    if (!good)
      for (int n = 0; n < SPECIES; n++) AT(s.y[n], l) = AT(s.searched[n], l);
    for (int n = 0; n < SPECIES; n++) steady_row(b, where, STEADY_STATE)[n] = AT(s.y[n], l);
  }
}

// In float32 the search ends off by rounding, and more so if something slow is left to happen. There Newton's iteration, in
// float64, may go further, and decides: if it finds no steady state, there is none.
STATIC void polish_steady_states(const Batch& b, Queue& queue)
{
  Polished s;
  while (load_polished(b, queue, s)) {
    exact j[ENTRIES];
    iterate(s);
    store(b, s);
    jacobian(s.y, s.q, j);
    for (int l = 0; l < s.count; l++) {
      const int64 set = s.item[l] % b.sets, where = steady_place(b, s.item[l]);
      const double rtol = tolerances_of(b, set)[SET_RTOL];
      double least[SPECIES];
      steady_floors(b, set, where, rtol > ON_THE_WAY_RTOL ? rtol : ON_THE_WAY_RTOL, least);
      if (b.steady_status[where] == OK && path_dependent(j, s.weight, s.y, s.start[l], s.atol[l], least, l))
        b.steady_status[where] = PATH_DEPENDENT;
    }
  }
}
