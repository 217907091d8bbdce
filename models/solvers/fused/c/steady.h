// States at rest: found, polished, and differentiated without the way there.
//
// A start is integrated at loose tolerances until the unrest is below a threshold at the solve's own, then polished by
// Newton on the reduced system, in which conserved moieties' totals stand for dependent species, and a species that
// nothing changes keeps its start (`hexamer.models.solvers.reference.steady_state`, whose criteria these are):
//   G(y; y0, p) = [ f_i(y, p) ;  L (w(p) o (y - y0)) ] = 0,    dy = -G_y^-1 (G_y0 dy0 + G_p dp)
#pragma once
#include "courses.h"
#include "scale.h"

STATIC const int* rest_parameters(const Batch& b, int64 item)
{
  return b.plan.equilibration_parameters + (item / b.sets) * PARAMETERS;
}

STATIC void load_start(const Batch& b, int64 item, int lane, exact* y)
{
  const int* set = b.plan.equilibration_set + (item / b.sets) * SPECIES;
  load_initial(b, item % b.sets, rest_parameters(b, item), lane, y);
  for (int n = 0; n < SPECIES; n++)
    if (set[n] >= 0) AT(y[n], lane) = b.environment[item % b.sets * b.plan.slots + set[n]];
}

STATIC double rest_moment(const Batch& b, int64 item) { return b.plan.equilibration_moment[item / b.sets]; }

// The switches at rest: gone are those of before the moment at which the course starts. p holds one item's parameters a lane.
STATIC void switches_at_rest(const Batch& b, const int64* item, int count, exact* p)
{
  if (SWITCHES == 0) return;
  exact times[SWITCHES + 1];
  switch_times(p, times);
  for (int k = 0; k < SWITCHES; k++) {
    p[PARAMETERS + k] = exact_of(0.0);
    for (int l = 0; l < count; l++)
      if (AT(times[k], l) < rest_moment(b, item[l])) AT(p[PARAMETERS + k], l) = 1.0;
  }
}

STATIC int64 rest_place(const Batch& b, int64 item)
{
  return (item % b.sets) * b.plan.equilibrations + item / b.sets;
}

struct Rest {
  int64 item;
  int tried;
  bool alive;
};

STATIC void end_rest(const Batch& b, Rest& r, int lane, const real* y, const Tolerances& tolerance, int status)
{
  const int64 where = rest_place(b, r.item);
  double* rows = b.rest + STEADY_ROWS * where * SPECIES;
  double *found = rows + STEADY_STATE * SPECIES, *scale = rows + STEADY_SCALE * SPECIES;
  for (int n = 0; n < SPECIES; n++) found[n] = AT(y[n], lane);
  if (TIME_STATE >= 0) found[TIME_STATE] = rows[STEADY_START * SPECIES + TIME_STATE];
  for (int n = 0; n < SPECIES; n++) scale[n] = AT(tolerance.scale[n], lane);
  b.rest_status[where] = status;
  b.rest_steps[where] = r.tried;
  r.alive = false;
}

STATIC void load_next_rest(const Batch& b, Queue& queue, Rest& r, int lane, Pace& pace, Tolerances& tolerance, real& strict, real* y,
                           real* q, exact& t)
{
  for (r.alive = false; !r.alive;) {
    if (!take(queue, &r.item)) return;
    r.tried = 0;
    r.alive = load_tolerances(b, r.item % b.sets, lane, tolerance);
    if (!r.alive) end_rest(b, r, lane, y, tolerance, NOT_FINITE);
  }
  AT(strict, lane) = AT(tolerance.rtol, lane);
  AT(tolerance.rtol, lane) = AT(on_the_way(tolerance.rtol), lane);
  load_coefficients(b, r.item % b.sets, rest_parameters(b, r.item), rest_moment(b, r.item), lane, q);
  exact first[SPECIES];
  load_start(b, r.item, lane, first);
  double* start = b.rest + (STEADY_ROWS * rest_place(b, r.item) + STEADY_START) * SPECIES;
  for (int n = 0; n < SPECIES; n++) {
    start[n] = AT(first[n], lane);
    AT(y[n], lane) = start[n];
    AT(tolerance.scale[n], lane) = ::fabs(start[n]);
  }
  AT(t, lane) = 0.0;
  pace.fresh[lane] = true;
}

INLINE real on_the_way(const real rtol) { return select_(rtol > scalar(ON_THE_WAY_RTOL), rtol, real_of(ON_THE_WAY_RTOL)); }

STATIC void find_rests(const Batch& b, Queue& queue)
{
  const Plan& plan = b.plan;
  real y[SPECIES], q[COEFFICIENTS], y1[SPECIES], k[STAGES * SPECIES];
  exact t = exact_of(0.0);
  const exact far = exact_of(HORIZON);
  Pace pace = {exact_of(1.0)};
  Tolerances loose = any_tolerances();
  real strict = real_of(1.0), atol[SPECIES];  // of what is sought; `loose`: on the way
  Rest rest[LANES];
  for (int n = 0; n < SPECIES; n++) y[n] = real_of(1.0);
  for (int i = 0; i < COEFFICIENTS; i++) q[i] = real_of(1.0);
  for (int l = 0; l < LANES; l++) load_next_rest(b, queue, rest[l], l, pace, loose, strict, y, q, t);
  for (;;) {
    bool any = false;
    for (int l = 0; l < LANES; l++) any |= rest[l].alive;
    if (!any) return;
    set_out(plan, pace, y, q, loose, narrow_(far), narrow_(far));
    const exact step = select_(t + pace.h >= far, far - t, pace.h);
    const real error = judged(pace, y, y1, q, loose, attempt(y, q, narrow_(step), loose, k, y1));
    const mask good = error <= 1;
    const real factor = growth(error);
    for (int n = 0; n < SPECIES; n++) y[n] = select_(good, y1[n], y[n]);
    t = select_(widen_(good), t + step, t);
    floors(plan, loose, strict, atol);
    const real left = unrest(y, q, strict, atol);
    for (int l = 0; l < LANES; l++) {
      Rest& r = rest[l];
      if (!r.alive) continue;
      r.tried++;
      const bool went = AT(good, l) != 0, grew = adapt(pace, l, went, AT(factor, l), AT(step, l), INFINITY);
      if (went && AT(left, l) <= THRESHOLD) {
        end_rest(b, r, l, y, loose, OK);
      } else if (!grew && !(AT(pace.h, l) > 1e-12)) {
        end_rest(b, r, l, y, loose, !(AT(error, l) < INFINITY) ? NOT_FINITE : STEP_TOO_SMALL);
      } else if (AT(t, l) >= HORIZON) {
        end_rest(b, r, l, y, loose, NO_STEADY_STATE);
      } else if (r.tried >= plan.max_steps) {
        end_rest(b, r, l, y, loose, TOO_MANY_STEPS);
      }
      if (!r.alive) load_next_rest(b, queue, r, l, pace, loose, strict, y, q, t);
    }
  }
}

// Solves a x = b by Gaussian elimination with partial pivoting, in place; false where a pivot vanishes beside `least` of its
// column.
STATIC bool solve_dense(double* a, double* b, double least)
{
  double smallest[SPECIES];
  ROLLED for (int k = 0; k < SPECIES; k++) {
    double most = 0.0;
    ROLLED for (int i = 0; i < SPECIES; i++) most = ::fabs(a[i * SPECIES + k]) > most ? ::fabs(a[i * SPECIES + k]) : most;
    smallest[k] = least * most;
  }
  ROLLED for (int k = 0; k < SPECIES; k++) {
    int pivot = k;
    ROLLED for (int i = k + 1; i < SPECIES; i++)
      if (::fabs(a[i * SPECIES + k]) > ::fabs(a[pivot * SPECIES + k])) pivot = i;
    if (!(::fabs(a[pivot * SPECIES + k]) > smallest[k])) return false;
    if (pivot != k) {
      ROLLED for (int j = k; j < SPECIES; j++) {
        const double x = a[k * SPECIES + j];
        a[k * SPECIES + j] = a[pivot * SPECIES + j];
        a[pivot * SPECIES + j] = x;
      }
      const double x = b[k];
      b[k] = b[pivot];
      b[pivot] = x;
    }
    const double inverse = 1.0 / a[k * SPECIES + k];
    ROLLED for (int i = k + 1; i < SPECIES; i++) {
      const double factor = a[i * SPECIES + k] * inverse;
      if (factor == 0.0) continue;
      ROLLED for (int j = k + 1; j < SPECIES; j++) a[i * SPECIES + j] -= factor * a[k * SPECIES + j];
      b[i] -= factor * b[k];
    }
  }
  ROLLED for (int k = SPECIES - 1; k >= 0; k--) {
    ROLLED for (int j = k + 1; j < SPECIES; j++) b[k] -= a[k * SPECIES + j] * b[j];
    b[k] /= a[k * SPECIES + k];
  }
  return true;
}

// One lane's reduced matrix G_y, or its transpose, from the Jacobian's entries; which species are idle.
STATIC void reduced_matrix(const exact* j, const exact* weight, int lane, bool transposed, double* a, bool* idle)
{
  ROLLED for (int i = 0; i < SPECIES * SPECIES; i++) a[i] = 0.0;
  ROLLED for (int i = 0; i < SPECIES; i++) idle[i] = true;
  ROLLED for (int e = 0; e < ENTRIES_USED; e++) {
    const int r = row_of(e), c = column_of(e);
    const double x = AT(j[e], lane);
    if (x != 0.0) idle[r] = false;
    a[transposed ? c * SPECIES + r : r * SPECIES + c] = x;
  }
  ROLLED for (int i = 0; i < SPECIES; i++)
    if (idle[i]) a[i * SPECIES + i] = 1.0;
  ROLLED for (int m = 0; m < MOIETIES; m++)
    ROLLED for (int c = 0; c < SPECIES; c++) a[transposed ? c * SPECIES + dependent(m) : dependent(m) * SPECIES + c] = 0.0;
  ROLLED for (int k = 0; k < COUNTED; k++) {
    const int r = dependent(sum_row(k)), c = sum_column(k);
    a[transposed ? c * SPECIES + r : r * SPECIES + c] = sum_number(k) * AT(weight[k], lane);
  }
}

// Where G_y is singular still: rows of f that are combinations of others, since their species are lost in complexes alone
// that are not there. Each combination l is one more conserved sum, l (y - y0) = 0, and takes the row's place; `open` says
// which. Elimination with complete pivoting, of what is not idle, each species in units of its own size: so entries are rates,
// and what is slower than any time allowed to come to rest is nothing. Multipliers stay where they make zeros.
STATIC void complete(double* a, const bool* idle, const exact* y, const double* atol, int lane, bool* open)
{
  double r[SPECIES * SPECIES], size[SPECIES], w[SPECIES];
  int rows[SPECIES], columns[SPECIES], count = 0, width = 0, rank = 0;
  ROLLED for (int i = 0; i < SPECIES; i++) {
    open[i] = idle[i];
    size[i] = atol[i] + ::fabs(AT(y[i], lane));
  }
  ROLLED for (int m = 0; m < MOIETIES; m++) open[dependent(m)] = true;
  ROLLED for (int i = 0; i < SPECIES; i++) {
    if (!open[i]) rows[count++] = columns[width++] = i;
    open[i] = false;
  }
  ROLLED for (int i = 0; i < count; i++)
    ROLLED for (int c = 0; c < width; c++) {
      const int at = rows[i] * SPECIES + columns[c];
      r[at] = a[at];
      ROLLED for (int m = 0; m < MOIETIES; m++) {  // a dependent species follows from the others of its sum
        const int d = dependent(m);
        if (!idle[d] && a[d * SPECIES + d] != 0.0) r[at] -= a[rows[i] * SPECIES + d] * a[d * SPECIES + columns[c]] / a[d * SPECIES + d];
      }
      r[at] *= size[columns[c]] / size[rows[i]];
    }
  ROLLED for (; rank < count; rank++) {
    int row = -1, column = -1;
    double most = SINGULAR;
    ROLLED for (int i = rank; i < count; i++)
      ROLLED for (int c = rank; c < width; c++)
        if (::fabs(r[rows[i] * SPECIES + columns[c]]) > most) {
          most = ::fabs(r[rows[i] * SPECIES + columns[c]]);
          row = i, column = c;
        }
    if (row < 0) break;
    const int first = rows[row], here = columns[column];
    rows[row] = rows[rank], rows[rank] = first;
    columns[column] = columns[rank], columns[rank] = here;
    ROLLED for (int i = rank + 1; i < count; i++) {
      double* x = r + rows[i] * SPECIES;
      x[here] /= r[first * SPECIES + here];
      ROLLED for (int c = rank + 1; c < width; c++) x[columns[c]] -= x[here] * r[first * SPECIES + columns[c]];
    }
  }
  ROLLED for (int i = rank; i < count; i++) {
    double *l = a + rows[i] * SPECIES, most = 1.0 / size[rows[i]];
    ROLLED for (int c = 0; c < SPECIES; c++) l[c] = 0.0;
    l[rows[i]] = most;
    ROLLED for (int k = 0; k < rank; k++) w[k] = -r[rows[i] * SPECIES + columns[k]];
    ROLLED for (int k = rank - 1; k >= 0; k--) {
      ROLLED for (int c = 0; c < k; c++) w[c] -= w[k] * r[rows[k] * SPECIES + columns[c]];
      l[rows[k]] = w[k] / size[rows[k]];
      most = ::fabs(l[rows[k]]) > most ? ::fabs(l[rows[k]]) : most;
    }
    ROLLED for (int c = 0; c < SPECIES; c++) l[c] /= most;
    open[rows[i]] = true;
  }
}

STATIC void transpose(double* a)
{
  ROLLED for (int i = 0; i < SPECIES; i++)
    ROLLED for (int c = 0; c < i; c++) {
      const double x = a[i * SPECIES + c];
      a[i * SPECIES + c] = a[c * SPECIES + i];
      a[c * SPECIES + i] = x;
    }
}

// Whether what one lane came to, y, depends on the way there: something moved that nothing holds where it is. `least` is what
// each species may be off by.
STATIC bool path_dependent(const exact* j, const exact* weight, const exact* y, const double* start, const double* atol,
                           const double* least, int lane)
{
  double a[SPECIES * SPECIES], moved[SPECIES], allowed[SPECIES];
  bool idle[SPECIES], open[SPECIES];
  reduced_matrix(j, weight, lane, false, a, idle);
  ROLLED for (int n = 0; n < SPECIES; n++) {
    moved[n] = ::fabs(AT(y[n], lane) - start[n]);
    allowed[n] = least[n] + DRIFT * ::fabs(AT(y[n], lane));
    open[n] = idle[n] && n != TIME_STATE;
  }
  ROLLED for (int m = 0; m < MOIETIES; m++) open[dependent(m)] = false;
  ROLLED for (int n = 0; n < SPECIES; n++)
    if (open[n] && moved[n] > allowed[n]) return true;
  complete(a, idle, y, atol, lane, open);
  ROLLED for (int n = 0; n < SPECIES; n++) {
    if (!open[n]) continue;
    double gone = 0.0, most = 0.0;
    ROLLED for (int c = 0; c < SPECIES; c++) {
      gone += ::fabs(a[n * SPECIES + c]) * moved[c];
      most += ::fabs(a[n * SPECIES + c]) * allowed[c];
    }
    if (gone > most) return true;
  }
  return false;
}

// In floats the state that was come to is off by rounding, and all the more where something slow is left to happen; so
// Newton, in doubles, may go further, and is what finds the state: where it does not, there is none.
STATIC void polish_rests(const Batch& b, Queue& queue)
{
  for (;;) {
    exact y[SPECIES], p[ARGUMENTS], q[COEFFICIENTS], f[SPECIES], j[ENTRIES], weight[COUNTED + 1], found[SPECIES];
    exact rtol = exact_of(1.0), atol[SPECIES];
    double own[LANES][SPECIES];
    const double near = SINGLE ? 1e-1 : 1e-2;
    double start[LANES][SPECIES];
    int64 item[LANES];
    int count = 0;
    for (int n = 0; n < SPECIES; n++) y[n] = atol[n] = exact_of(1.0);
    for (int i = 0; i < PARAMETERS; i++) p[i] = exact_of(1.0);
    while (count < LANES && take(queue, &item[count])) {
      const int64 where = rest_place(b, item[count]), set = item[count] % b.sets;
      if (b.rest_status[where] != OK) continue;
      const double* values = b.environment + set * b.plan.slots;
      for (int i = 0; i < PARAMETERS; i++) AT(p[i], count) = values[rest_parameters(b, item[count])[i]];
      AT(rtol, count) = own_tolerances(b, set)[SET_RTOL];
      rest_floors(b, set, where, own_tolerances(b, set)[SET_RTOL], own[count]);
      for (int n = 0; n < SPECIES; n++) {
        AT(atol[n], count) = own[count][n];
        AT(y[n], count) = b.rest[(STEADY_ROWS * where + STEADY_STATE) * SPECIES + n];
        start[count][n] = b.rest[(STEADY_ROWS * where + STEADY_START) * SPECIES + n];
      }
      count++;
    }
    if (!count) return;
    switches_at_rest(b, item, count, p);
    weights(p, weight);
    coefficients(p, q);
    for (int n = 0; n < SPECIES; n++) found[n] = y[n];
    bool moving[LANES];
    for (int l = 0; l < count; l++) moving[l] = true;
    for (int iteration = 0; iteration < (SINGLE ? 2 : 1) * NEWTON_ITERATIONS; iteration++) {
      bool any = false;
      for (int l = 0; l < count; l++) any |= moving[l];
      if (!any) break;
      rates(y, q, f);
      jacobian(y, q, j);
      for (int l = 0; l < count; l++) {
        if (!moving[l]) continue;
        double a[SPECIES * SPECIES], g[SPECIES];
        bool idle[SPECIES];
        reduced_matrix(j, weight, l, false, a, idle);
        for (int n = 0; n < SPECIES; n++) g[n] = idle[n] ? AT(y[n], l) - start[l][n] : AT(f[n], l);
        for (int m = 0; m < MOIETIES; m++) g[dependent(m)] = 0.0;
        for (int k = 0; k < COUNTED; k++) {
          const int n = sum_column(k);
          g[dependent(sum_row(k))] += sum_number(k) * AT(weight[k], l) * (AT(y[n], l) - start[l][n]);
        }
        double right[SPECIES];
        for (int n = 0; n < SPECIES; n++) right[n] = g[n];
        bool converged = solve_dense(a, g, SINGULAR);
        if (!converged) {
          bool open[SPECIES];
          reduced_matrix(j, weight, l, false, a, idle);
          complete(a, idle, y, own[l], l, open);
          for (int n = 0; n < SPECIES; n++) {
            g[n] = right[n];
            if (!open[n]) continue;
            g[n] = 0.0;
            for (int c = 0; c < SPECIES; c++) g[n] += a[n * SPECIES + c] * (AT(y[c], l) - start[l][c]);
          }
          converged = solve_dense(a, g, 0.0);
        }
        if (!converged) { moving[l] = false; continue; }
        for (int n = 0; n < SPECIES; n++) {
          AT(y[n], l) -= g[n];
          converged &= ::fabs(g[n]) <= 1e-13 * ::fabs(AT(y[n], l)) + 1e-6 * own[l][n];
        }
        moving[l] = !converged;
      }
    }
    const exact left = unrest(y, q, rtol, atol), before = SINGLE ? unrest(found, q, rtol, atol) : left;
    for (int l = 0; l < count; l++) {
      bool good = AT(left, l) <= THRESHOLD;
      for (int n = 0; n < SPECIES; n++) {
        const double x = AT(y[n], l), x0 = AT(found[n], l);
        good &= ::fabs(x - x0) <= near * ::fabs(x0) + 1e3 * own[l][n];
        good &= x >= (x0 < 0.0 ? x0 : 0.0) - own[l][n];
      }
      const int64 where = rest_place(b, item[l]);
      if (!good && SINGLE && !(AT(before, l) <= THRESHOLD)) b.rest_status[where] = NO_STEADY_STATE;
      if (!good)
        for (int n = 0; n < SPECIES; n++) AT(y[n], l) = AT(found[n], l);
      for (int n = 0; n < SPECIES; n++) b.rest[(STEADY_ROWS * where + STEADY_STATE) * SPECIES + n] = AT(y[n], l);
    }
    jacobian(y, q, j);
    for (int l = 0; l < count; l++) {
      const int64 set = item[l] % b.sets, where = rest_place(b, item[l]);
      const double asked = own_tolerances(b, set)[SET_RTOL];
      double least[SPECIES];
      rest_floors(b, set, where, asked > ON_THE_WAY_RTOL ? asked : ON_THE_WAY_RTOL, least);
      if (b.rest_status[where] == OK && path_dependent(j, weight, y, start[l], own[l], least, l)) b.rest_status[where] = PATH_DEPENDENT;
    }
  }
}

// Cotangents of the start by the sums that `complete` found.
STATIC void hold_sums(const double* a, const bool* open, int lane, const double* x, exact* start_bar)
{
  ROLLED for (int n = 0; n < SPECIES; n++)
    if (open[n])
      ROLLED for (int c = 0; c < SPECIES; c++) AT(start_bar[c], lane) += a[n * SPECIES + c] * x[n];
}

STATIC void pull_rests(const Batch& b, const Adjoint& adjoint, Queue& queue)
{
  const Plan& plan = b.plan;
  for (;;) {
    exact y[SPECIES], p[ARGUMENTS], q[COEFFICIENTS], j[ENTRIES], weight[COUNTED + 1], weight_bar[COUNTED + 1];
    exact u[SPECIES], ignored[SPECIES], p_bar[ARGUMENTS], q_bar[COEFFICIENTS], start_bar[SPECIES];
    int64 item[LANES];
    int count = 0;
    for (int n = 0; n < SPECIES; n++) {
      y[n] = exact_of(1.0);
      u[n] = ignored[n] = start_bar[n] = exact_of(0.0);
    }
    for (int k = 0; k < COUNTED; k++) weight_bar[k] = exact_of(0.0);
    for (int i = 0; i < PARAMETERS; i++) p[i] = exact_of(1.0);
    for (int i = 0; i < ARGUMENTS; i++) p_bar[i] = exact_of(0.0);
    for (int i = 0; i < COEFFICIENTS; i++) q_bar[i] = exact_of(0.0);
    while (count < LANES && take(queue, &item[count])) {
      const int64 where = rest_place(b, item[count]);
      double* slots = adjoint.rest_slots + where * plan.slots;
      for (int i = 0; i < plan.slots; i++) slots[i] = 0.0;
      if (b.rest_status[where] != OK) continue;
      const double* values = b.environment + item[count] % b.sets * plan.slots;
      for (int i = 0; i < PARAMETERS; i++) AT(p[i], count) = values[rest_parameters(b, item[count])[i]];
      for (int n = 0; n < SPECIES; n++) AT(y[n], count) = b.rest[(STEADY_ROWS * where + STEADY_STATE) * SPECIES + n];
      count++;
    }
    if (!count) return;
    switches_at_rest(b, item, count, p);
    weights(p, weight);
    coefficients(p, q);
    jacobian(y, q, j);
    for (int l = 0; l < count; l++) {
      const int64 set = item[l] % b.sets;
      const int e = (int)(item[l] / b.sets);
      const double* start = b.rest + (STEADY_ROWS * rest_place(b, item[l]) + STEADY_START) * SPECIES;
      double a[SPECIES * SPECIES], x[SPECIES];
      bool idle[SPECIES];
      for (int n = 0; n < SPECIES; n++) x[n] = 0.0;
      for (int c = 0; c < plan.protocols; c++)
        if (plan.equilibration_of[c] == e)
          for (int n = 0; n < SPECIES; n++) x[n] += adjoint.start[(set * plan.protocols + c) * SPECIES + n];
      double right[SPECIES];
      bool open[SPECIES];
      for (int n = 0; n < SPECIES; n++) right[n] = x[n], open[n] = false;
      reduced_matrix(j, weight, l, true, a, idle);
      if (!solve_dense(a, x, SINGULAR)) {
        double atol[SPECIES];
        rest_floors(b, set, rest_place(b, item[l]), own_tolerances(b, set)[SET_RTOL], atol);
        for (int n = 0; n < SPECIES; n++) x[n] = right[n];
        reduced_matrix(j, weight, l, false, a, idle);
        complete(a, idle, y, atol, l, open);
        transpose(a);
        if (!solve_dense(a, x, 0.0))
          for (int n = 0; n < SPECIES; n++) x[n] = NAN;
        reduced_matrix(j, weight, l, false, a, idle);
        complete(a, idle, y, atol, l, open);
        hold_sums(a, open, l, x, start_bar);
      }
      for (int n = 0; n < SPECIES; n++) {
        AT(u[n], l) = idle[n] || open[n] ? 0.0 : -x[n];
        if (idle[n]) AT(start_bar[n], l) += x[n];
      }
      for (int m = 0; m < MOIETIES; m++) {
        const int d = dependent(m);
        AT(u[d], l) = 0.0;
        if (idle[d]) AT(start_bar[d], l) -= x[d];
      }
      for (int k = 0; k < COUNTED; k++) {
        const int n = sum_column(k);
        const double by = x[dependent(sum_row(k))] * sum_number(k);
        AT(start_bar[n], l) += by * AT(weight[k], l);
        AT(weight_bar[k], l) -= by * (AT(y[n], l) - start[n]);
      }
      double* slots = adjoint.rest_slots + rest_place(b, item[l]) * plan.slots;
      for (int n = 0; n < SPECIES; n++) {
        const int set_to = plan.equilibration_set[(int64)e * SPECIES + n];
        if (set_to < 0) continue;
        slots[set_to] += AT(start_bar[n], l);
        AT(start_bar[n], l) = 0.0;
      }
    }
    pull_rates(y, q, u, ignored, q_bar);
    pull_coefficients(p, q_bar, p_bar);
    pull_weights(p, weight_bar, p_bar);
    pull_initial(p, start_bar, p_bar);
    for (int l = 0; l < count; l++) {
      const int e = (int)(item[l] / b.sets);
      double* slots = adjoint.rest_slots + rest_place(b, item[l]) * plan.slots;
      for (int i = 0; i < PARAMETERS; i++) slots[plan.equilibration_parameters[(int64)e * PARAMETERS + i]] += AT(p_bar[i], l);
    }
  }
}
