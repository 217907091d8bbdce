// A step of Rodas5P (Steinebach 2023), and its exact discrete adjoint.
//
// In the form without products with the Jacobian; W = I/(gamma h) - J(y0):
//   W k_i = f(y0 + sum_j a_ij k_j) + sum_j (c_ij / h) k_j,   y1 = y0 + sum_i m_i k_i,   error estimate k_8
//   dense output: y(t + theta h) = y0 + sum_i w_i(theta) k_i
// Adjoint (Daescu, Sandu, Carmichael 2003), with step sizes held fixed, for cotangents lambda of y1 and c of y(theta):
//   W^T u_i = m_i lambda + w_i(theta) c + sum_{j>i} (a_ji v_j + (c_ji / h) u_j),   v_i = J(Y_i)^T u_i
//   y0: lambda + c + sum v_i + grad_y sum u_i^T J(y0) k_i      p: sum f_p(Y_i)^T u_i + grad_p sum u_i^T J(y0) k_i
#pragma once
#include "batch.h"
#include "rodas5p_tables.h"

// Weight of stage i in the dense output.
INLINE scalar dense(int i, scalar theta)
{
  return theta * (M(i) + (1 - theta) * (H(0, i) + theta * (H(1, i) + theta * H(2, i))));
}

// From this stage on, the state of the next stage (and after the last stage, the new state) is this stage's state plus this
// stage's k.
enum { ADDED = 5 };

// Y_i and sum_j c_ij k_j. Inlined into an unrolled loop over stages, so that the coefficients are constants.
INLINE void combine(int i, const real* y, const real* k, real* s, real* b)
{
  for (int n = 0; n < SPECIES; n++) {
    real state = y[n], sum = real_of(0.0);
    UNROLL
    for (int j = 0; j < i; j++) {
      const real kj = k[j * SPECIES + n];
      state += A(i, j) * kj;
      if (b) sum += C(i, j) * kj;
    }
    s[n] = state;
    if (b) b[n] = sum;
  }
}

STATIC void linearise(const real* y, const real* q, const real inverse, real* w)
{
  real j[ENTRIES];
  jacobian(y, q, j);
  factorise(j, inverse * scalar(1.0 / GAMMA), w);
}

// Stages k of a step of size h, and in s the last one's state.
STATIC void stages(const real* y, const real* q, const real h, real* w, real* k, real* s)
{
  real f[SPECIES];
  const real inverse = rcp_(h);
  linearise(y, q, inverse, w);
  UNROLL
  for (int i = 0; i < STAGES; i++) {
    real* b = k + i * SPECIES;
    combine(i, y, k, s, b);
    rates(s, q, f);
    for (int n = 0; n < SPECIES; n++) b[n] = f[n] + inverse * b[n];
    solve(w, b);
  }
}

// One step of size h: stages k and new state y1. Returns the squared norm of the error in units of the tolerance.
STATIC real attempt(const real* y, const real* q, const real h, const Tolerances& tolerance, real* k, real* y1)
{
  real w[FACTORS], total = real_of(0.0);
  stages(y, q, h, w, k, y1);
  for (int n = 0; n < SPECIES; n++) {
    const real e = k[(STAGES - 1) * SPECIES + n];
    y1[n] += e;  // see ADDED
    const real a = abs_(y[n]), b = abs_(y1[n]);
    const real off = div_(e, tolerance.atol[n] + tolerance.rtol * select_(a < b, b, a));
    total += off * off;
  }
  return total * scalar(1.0 / SPECIES);
}

// The adjoint of one step: lambda goes from y1 to y0, and q_bar is added to. `outputs`: cotangents of the k_i from dense
// output, or none. The stages k are computed again unless they were recorded.
STATIC void step_adjoint(const real* y, const real* q, const real h, real* k, const real* outputs, real* lambda, real* q_bar)
{
  real w[FACTORS], u[STAGES * SPECIES], v[STAGES * SPECIES], s[SPECIES], c[ENTRIES], y_bar[SPECIES];
  real late[SPECIES];  // lambda plus the v of the stages from ADDED on: earlier stages have one weight for all of these
  const real inverse = rcp_(h);
  if (KEPT) linearise(y, q, inverse, w); else stages(y, q, h, w, k, s);
  for (int e = 0; e < ENTRIES; e++) c[e] = real_of(0.0);
  for (int n = 0; n < SPECIES; n++) y_bar[n] = lambda[n];
  UNROLL
  for (int i = STAGES - 1; i >= 0; i--) {
    real *ui = u + i * SPECIES, *vi = v + i * SPECIES;
    for (int n = 0; n < SPECIES; n++) {
      if (i == ADDED - 1) late[n] = y_bar[n];
      real sum = i < ADDED ? M(i) * late[n] : y_bar[n], scaled = real_of(0.0);
      UNROLL
      for (int j = STAGES - 1; j > i; j--) {  // what was computed last is added last
        if (j < ADDED) sum += A(j, i) * v[j * SPECIES + n];
        scaled += C(j, i) * u[j * SPECIES + n];
      }
      ui[n] = sum + inverse * scaled;
    }
    if (outputs)
      for (int n = 0; n < SPECIES; n++) ui[n] += outputs[i * SPECIES + n];
    solve_transposed(w, ui);
    combine(i, y, k, s, (real*)0);
    for (int n = 0; n < SPECIES; n++) vi[n] = real_of(0.0);
    pull_rates(s, q, ui, vi, q_bar);
    add_outer(ui, k + i * SPECIES, c);
    for (int n = 0; n < SPECIES; n++) y_bar[n] += vi[n];
  }
  pull_jacobian(y, q, c, y_bar, q_bar);
  for (int n = 0; n < SPECIES; n++) lambda[n] = y_bar[n];
}
