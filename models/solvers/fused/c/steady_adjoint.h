// The adjoint of steady states, by the implicit function theorem: it needs nothing of the way there.
#pragma once
#include "adjoint.h"
#include "steady_newton.h"

// Steady states whose adjoints are computed side by side, one per lane, and cotangents.
struct Pulled {
  int64 item[LANES];
  int count;
  exact y[SPECIES], p[ARGUMENTS], q[COEFFICIENTS], weight[COUNTED + 1];
  exact f_bar[SPECIES], weight_bar[COUNTED + 1], start_bar[SPECIES];
};

// Takes up to LANES steady states from the queue; false if none is left. Those that failed contribute nothing.
INLINE bool load_pulled(const Batch& b, const Adjoint& adjoint, Queue& queue, Pulled& s)
{
  s.count = 0;
  for (int n = 0; n < SPECIES; n++) {
    s.y[n] = exact_of(1.0);
    s.f_bar[n] = s.start_bar[n] = exact_of(0.0);
  }
  for (int k = 0; k < COUNTED; k++) s.weight_bar[k] = exact_of(0.0);
  for (int i = 0; i < PARAMETERS; i++) s.p[i] = exact_of(1.0);
  while (s.count < LANES && take(queue, &s.item[s.count])) {
    const int l = s.count;
    const int64 where = steady_place(b, s.item[l]);
    double* slots = adjoint.steady_slots + where * b.plan.slots;
    for (int i = 0; i < b.plan.slots; i++) slots[i] = 0.0;
    if (b.steady_status[where] != OK) continue;
    const double* values = b.environment + s.item[l] % b.sets * b.plan.slots;
    for (int i = 0; i < PARAMETERS; i++) AT(s.p[i], l) = values[steady_parameters(b, s.item[l])[i]];
    for (int n = 0; n < SPECIES; n++) AT(s.y[n], l) = steady_row(b, where, STEADY_STATE)[n];
    s.count++;
  }
  if (!s.count) return false;
  steady_switches(b, s.item, s.count, s.p);
  weights(s.p, s.weight);
  coefficients(s.p, s.q);
  return true;
}

// The cotangent of one steady state: the sum over the courses that start from it.
INLINE void gather_starts(const Batch& b, const Adjoint& adjoint, int64 item, double* x)
{
  const int64 set = item % b.sets;
  const int e = (int)(item / b.sets);
  for (int n = 0; n < SPECIES; n++) x[n] = 0.0;
  for (int c = 0; c < b.plan.protocols; c++)
    if (b.plan.equilibration_of[c] == e)
      for (int n = 0; n < SPECIES; n++) x[n] += adjoint.start[(set * b.plan.protocols + c) * SPECIES + n];
}

// Solves G_y^T x = x for one lane; says which species are constant and which rows hold conserved sums.
INLINE void solve_reduced(const Batch& b, Pulled& s, const exact* j, int l, double* x, bool* constant, bool* conserved)
{
  double a[SPECIES * SPECIES], right[SPECIES];
  for (int n = 0; n < SPECIES; n++) right[n] = x[n], conserved[n] = false;
  reduced_matrix(j, s.weight, l, true, a, constant);
  if (solve_dense(a, x, SINGULAR)) return;
  const int64 set = s.item[l] % b.sets;
  double atol[SPECIES];
  steady_floors(b, set, steady_place(b, s.item[l]), tolerances_of(b, set)[SET_RTOL], atol);
  for (int n = 0; n < SPECIES; n++) x[n] = right[n];
  reduced_matrix(j, s.weight, l, false, a, constant);
  add_conserved_sums(a, constant, s.y, atol, l, conserved);
  transpose(a);
  if (!solve_dense(a, x, 0.0))
    for (int n = 0; n < SPECIES; n++) x[n] = NAN;
  reduced_matrix(j, s.weight, l, false, a, constant);
  add_conserved_sums(a, constant, s.y, atol, l, conserved);
  pull_conserved_sums(a, conserved, l, x, s.start_bar);
}

// The cotangents of the rates, the moieties' weights and the start of one lane.
INLINE void pull_reduced(const Batch& b, const Adjoint& adjoint, Pulled& s, const exact* j, int l)
{
  const Plan& plan = b.plan;
  const int64 where = steady_place(b, s.item[l]);
  const double* start = steady_row(b, where, STEADY_START);
  double x[SPECIES];
  bool constant[SPECIES], conserved[SPECIES];
  gather_starts(b, adjoint, s.item[l], x);
  solve_reduced(b, s, j, l, x, constant, conserved);
  for (int n = 0; n < SPECIES; n++) {
    AT(s.f_bar[n], l) = constant[n] || conserved[n] ? 0.0 : -x[n];
    if (constant[n]) AT(s.start_bar[n], l) += x[n];
  }
  for (int m = 0; m < MOIETIES; m++) {
    const int d = dependent(m);
    AT(s.f_bar[d], l) = 0.0;
    if (constant[d]) AT(s.start_bar[d], l) -= x[d];
  }
  for (int k = 0; k < COUNTED; k++) {
    const int n = sum_column(k);
    const double factor = x[dependent(sum_row(k))] * sum_number(k);
    AT(s.start_bar[n], l) += factor * AT(s.weight[k], l);
    AT(s.weight_bar[k], l) -= factor * (AT(s.y[n], l) - start[n]);
  }
  double* slots = adjoint.steady_slots + where * plan.slots;
  for (int n = 0; n < SPECIES; n++) {
    const int set_to = plan.equilibration_set[s.item[l] / b.sets * SPECIES + n];
    if (set_to < 0) continue;
    slots[set_to] += AT(s.start_bar[n], l);
    AT(s.start_bar[n], l) = 0.0;
  }
}

STATIC void pull_steady_states(const Batch& b, const Adjoint& adjoint, Queue& queue)
{
  Pulled s;
  while (load_pulled(b, adjoint, queue, s)) {
    exact j[ENTRIES], ignored[SPECIES], p_bar[ARGUMENTS], q_bar[COEFFICIENTS];
    for (int n = 0; n < SPECIES; n++) ignored[n] = exact_of(0.0);
    for (int i = 0; i < ARGUMENTS; i++) p_bar[i] = exact_of(0.0);
    for (int i = 0; i < COEFFICIENTS; i++) q_bar[i] = exact_of(0.0);
    jacobian(s.y, s.q, j);
    for (int l = 0; l < s.count; l++) pull_reduced(b, adjoint, s, j, l);
    pull_rates(s.y, s.q, s.f_bar, ignored, q_bar);
    pull_coefficients(s.p, q_bar, p_bar);
    pull_weights(s.p, s.weight_bar, p_bar);
    pull_initial(s.p, s.start_bar, p_bar);
    for (int l = 0; l < s.count; l++) {
      double* slots = adjoint.steady_slots + steady_place(b, s.item[l]) * b.plan.slots;
      for (int i = 0; i < PARAMETERS; i++) slots[steady_parameters(b, s.item[l])[i]] += AT(p_bar[i], l);
    }
  }
}
