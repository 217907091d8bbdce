// The adjoint pass: over the recorded steps of each trajectory from the last to the first, with step sizes held fixed.
#pragma once
#include "courses.h"

struct Adjoint {
  const double* cotangent;  // sets x protocols x times x species
  double* start;            // sets x protocols x species: cotangent of each start
  double* slots;            // sets x protocols x slots
  double* steady_slots;       // sets x equilibrations x slots
};

STATIC void add_parameters(const int* index, int lane, const exact* p_bar, double* slots)
{
  for (int i = 0; i < PARAMETERS; i++) slots[index[i]] += AT(p_bar[i], lane);
}

// The stretch that ends at c.to begins at the last switch before it, or with the segment.
STATIC void enter_stretch_adjoint(const Batch& b, Course& c, int lane, real* q)
{
  const int* index = parameters_in(b.plan, c);
  c.from = begin_of(b.plan, c);
  if (SWITCHES > 0) {
    exact p[ARGUMENTS], times[SWITCHES + 1];
    arguments_of(b, c.set, index, c.from, p, times);
    for (int k = 0; k < SWITCHES; k++)
      if (AT(times[k], 0) > c.from && AT(times[k], 0) < c.to) c.from = AT(times[k], 0);
  }
  load_coefficients(b, c.set, index, 0.5 * (c.from + c.to), lane, q);
}

// Adds the cotangents of a stretch's coefficients to those of its parameters.
STATIC void leave_stretch(const Batch& b, const Adjoint& adjoint, const Course& c, int lane, real* q_bar)
{
  const int* index = parameters_in(b.plan, c);
  exact p[ARGUMENTS], times[SWITCHES + 1], p_bar[ARGUMENTS], room[COEFFICIENTS];
  arguments_of(b, c.set, index, 0.5 * (c.from + c.to), p, times);
  for (int i = 0; i < ARGUMENTS; i++) p_bar[i] = exact_of(0.0);
  pull_coefficients(p, widened(q_bar, room, COEFFICIENTS), p_bar);
  add_parameters(index, lane, p_bar, adjoint.slots + c.place * b.plan.slots);
  for (int i = 0; i < COEFFICIENTS; i++) AT(q_bar[i], lane) = 0.0;
}

// Undoes the switches at c.from, where the state is y. A switch that is later by dT moves the state by dT times the difference
// of the rates before and after it. Of several at one moment, the last in order is undone first.
STATIC void undo_switches(const Batch& b, const Adjoint& adjoint, const Course& c, int lane, const real* y, const real* lambda,
                          const real* q)
{
  const int* index = parameters_in(b.plan, c);
  exact p[ARGUMENTS], times[SWITCHES + 1], u[SWITCHES + 1], p_bar[ARGUMENTS], x[COEFFICIENTS];
  real after[SPECIES], before[SPECIES], changed[COEFFICIENTS];
  if (EVENTS > 0) arguments_after(b, c.set, index, c.from, p, times);
  else arguments_of(b, c.set, index, 0.5 * (c.from + c.to), p, times);
  for (int k = 0; k <= SWITCHES; k++) u[k] = exact_of(0.0);
  for (int i = 0; i < COEFFICIENTS; i++) changed[i] = q[i];
  rates(y, q, after);
  for (int k = SWITCHES - 1; k >= 0; k--) {
    if (AT(times[k], 0) != c.from) continue;
    p[PARAMETERS + k] = exact_of(0.0);
    coefficients(p, x);
    for (int i = 0; i < COEFFICIENTS; i++) AT(changed[i], lane) = within(AT(x[i], lane));
    rates(y, changed, before);
    for (int n = 0; n < SPECIES; n++) {
      AT(u[k], lane) += AT(lambda[n], lane) * (AT(before[n], lane) - AT(after[n], lane));
      AT(after[n], lane) = AT(before[n], lane);
    }
  }
  for (int i = 0; i < ARGUMENTS; i++) p_bar[i] = exact_of(0.0);
  pull_switch_times(p, u, p_bar);
  add_parameters(index, lane, p_bar, adjoint.slots + c.place * b.plan.slots);
}

// Crosses the switches at c.from, into the stretch that ends there.
STATIC void cross_switches(const Batch& b, const Adjoint& adjoint, Course& c, int lane, const real* y, const real* lambda,
                           real* q, real* q_bar)
{
  leave_stretch(b, adjoint, c, lane, q_bar);
  undo_switches(b, adjoint, c, lane, y, lambda, q);
  c.to = c.from;
  enter_stretch_adjoint(b, c, lane, q);
}

// The recorded row that the adjoint pass comes to next; true if events act there.
STATIC const double* next_row(const Batch& b, const Course& c) { return rows_of(b, c.item) + (int64)(c.rows - 1) * ROW; }
STATIC bool events_are_next(const Batch& b, const Course& c) { return c.tried && next_row(b, c)[RECORD_STEP] == INFINITY; }

// Adds the cotangents of the outputs of a segment from `moment` on: they show the state after the events there. Those at `moment`
// that show the state before are left to the step that ends there, or to the beginning of the segment.
STATIC void take_outputs_from(const Batch& b, const Adjoint& adjoint, Course& c, int lane, double moment, real* lambda)
{
  const Plan& plan = b.plan;
  const double* at = plan.at + (int64)c.protocol * plan.times;
  const int* segment = plan.segment + (int64)c.protocol * plan.times;
  const bool first = c.segment == 0 && moment == begin_of(plan, c);
  const bool before = events_are_next(b, c) && shows_before(b, c.set, parameters_in(plan, c), moment, first);
  for (; c.output >= 0 && segment[c.output] == c.segment && at[c.output] >= moment; c.output--) {
    if (before && at[c.output] == moment) return;
    for (int n = 0; n < SPECIES; n++)
      AT(lambda[n], lane) += adjoint.cotangent[(c.place * plan.times + c.output) * SPECIES + n];
  }
}

// The product of cotangents of a lane with the rates at y.
STATIC double along(const exact* y, const real* q, const exact* bar, int lane)
{
  real x[SPECIES], f[SPECIES];
  double sum = 0.0;
  for (int n = 0; n < SPECIES; n++) x[n] = real_of(AT(y[n], 0));
  rates(x, q, f);
  for (int n = 0; n < SPECIES; n++) sum += AT(bar[n], 0) * AT(f[n], lane);
  return sum;
}

// Undoes the events that acted at c.from, and the switches there: lambda goes to the state that the next row holds. An event
// that comes later by dT comes to a state that is dT times the rates further, and what follows it is as much shorter.
STATIC void undo_events(const Batch& b, const Adjoint& adjoint, Course& c, int lane, real* lambda)
{
  const int* index = parameters_in(b.plan, c);
  const double* row = next_row(b, c);
  exact p[ARGUMENTS], times[SWITCHES + 1], u[SWITCHES + 1], p_bar[ARGUMENTS], x[COEFFICIENTS];
  exact base[SPECIES], base_bar[SPECIES], before[SPECIES], after[SPECIES], bar[SPECIES];
  exact source[2 * SPECIES], source_bar[2 * SPECIES];
  real q[COEFFICIENTS], y[SPECIES];
  Acting acting;
  int owner[EVENTS + 1];
  find_acting(b, c.set, index, c.from, c.segment == 0 && c.from == begin_of(b.plan, c), acting);
  find_owners(b, c.set, index, c.from, owner);
  arguments_after(b, c.set, index, c.from, p, times);
  coefficients(p, x);
  for (int i = 0; i < COEFFICIENTS; i++) q[i] = real_of(within(AT(x[i], 0)));
  for (int k = 0; k <= SWITCHES; k++) u[k] = exact_of(0.0);
  for (int i = 0; i < ARGUMENTS; i++) p_bar[i] = exact_of(0.0);
  for (int n = 0; n < SPECIES; n++) {
    y[n] = real_of(row[HEAD + n]);
    base[n] = exact_of(row[HEAD + n]);
    base_bar[n] = exact_of(0.0);
    bar[n] = exact_of(AT(lambda[n], lane));
  }
  rank(p, base, acting);
  for (int i = EVENTS - 1; i >= 0; i--) {
    const int e = event_at(acting, i);
    if (!acting.at[e]) continue;
    act(p, acting, i, base, before);
    act(p, acting, i + 1, base, after);
    double moved = -along(after, q, bar, lane);
    for (int n = 0; n < 2 * SPECIES; n++) source_bar[n] = exact_of(0.0);
    source_of(e, base, before, source);
    pull_set_by(e, source, p, bar, source_bar, p_bar);
    forget_set_by(e, bar);
    for (int n = 0; n < SPECIES; n++) bar[n] += source_bar[SPECIES + n];
    if (before_all(e)) {
      moved += along(base, q, source_bar, lane);
      for (int n = 0; n < SPECIES; n++) base_bar[n] += source_bar[n];
    } else {
      for (int n = 0; n < SPECIES; n++) bar[n] += source_bar[n];
    }
    moved += along(before, q, bar, lane);
    if (owner[e] >= 0) AT(u[owner[e]], 0) += moved;
  }
  for (int k = 0; k < SWITCHES; k++) u[k] = exact_of(AT(u[k], 0));
  exact moments_bar[ARGUMENTS];
  for (int i = 0; i < ARGUMENTS; i++) moments_bar[i] = exact_of(0.0);
  pull_switch_times(p, u, moments_bar);
  for (int i = 0; i < ARGUMENTS; i++) p_bar[i] += moments_bar[i];
  add_parameters(index, 0, p_bar, adjoint.slots + c.place * b.plan.slots);
  for (int n = 0; n < SPECIES; n++) AT(lambda[n], lane) = AT(bar[n], 0) + AT(base_bar[n], 0);
  undo_switches(b, adjoint, c, lane, y, lambda, q);
  c.rows--;
  c.tried--;
}

// At the beginning of a stretch takes the outputs there. If events acted, crosses them, into the stretch that ends there if the
// segment has one; false if none did.
STATIC bool cross_events(const Batch& b, const Adjoint& adjoint, Course& c, int lane, real* lambda, real* q, real* q_bar)
{
  if (c.tried && next_row(b, c)[RECORD_STEP] < INFINITY && next_row(b, c)[RECORD_TIME] >= c.from) return false;
  take_outputs_from(b, adjoint, c, lane, c.from, lambda);
  if (!events_are_next(b, c)) return false;
  leave_stretch(b, adjoint, c, lane, q_bar);
  undo_events(b, adjoint, c, lane, lambda);
  if (c.tried) {
    c.to = c.from;
    enter_stretch_adjoint(b, c, lane, q);
  }
  return true;
}

// Adds the cotangents of the outputs at the beginning of a segment, those of its parameters and of its jumps.
STATIC void leave(const Batch& b, const Adjoint& adjoint, Course& c, int lane, real* lambda, real* q_bar)
{
  const Plan& plan = b.plan;
  const int* segment = plan.segment + (int64)c.protocol * plan.times;
  double* slots = adjoint.slots + c.place * plan.slots;
  for (; c.output >= 0 && segment[c.output] == c.segment; c.output--)
    for (int n = 0; n < SPECIES; n++)
      AT(lambda[n], lane) += adjoint.cotangent[(c.place * plan.times + c.output) * SPECIES + n];
  leave_stretch(b, adjoint, c, lane, q_bar);
  const int64 where = segment_of(plan, c);
  for (int n = 0; n < SPECIES; n++) {
    slots[plan.add[where * SPECIES + n]] += AT(lambda[n], lane);
    const int assigned = plan.assign[where * SPECIES + n], scaled = plan.scale[where * SPECIES + n];
    if (assigned >= 0) {
      slots[assigned] += AT(lambda[n], lane);
      AT(lambda[n], lane) = 0.0;
    } else if (scaled >= 0) {  // such a segment has steps, of which the first is the next row
      const double* values = b.environment + c.set * plan.slots;
      const double after = rows_of(b, c.item)[(int64)c.rows * ROW + HEAD + n] - values[plan.add[where * SPECIES + n]];
      slots[scaled] += AT(lambda[n], lane) * after / values[scaled];
      AT(lambda[n], lane) *= values[scaled];
    }
  }
}

// Puts a lane at the end of the last segment up to c.segment that has steps; ends the course if none is left.
STATIC void enter_adjoint(const Batch& b, const Adjoint& adjoint, Course& c, int lane, real* lambda, real* q, real* q_bar)
{
  const Plan& plan = b.plan;
  for (; c.segment >= 0; c.segment--) {
    c.tried = b.accepted[c.place * plan.segments + c.segment];
    c.from = c.to = end_of(plan, c);
    if (EVENTS > 0) {
      take_outputs_from(b, adjoint, c, lane, c.to, lambda);
      if (events_are_next(b, c)) undo_events(b, adjoint, c, lane, lambda);
    }
    if (c.tried) return enter_stretch_adjoint(b, c, lane, q);
    leave(b, adjoint, c, lane, lambda, q_bar);
  }
  c.alive = false;
  double* start = adjoint.start + c.place * SPECIES;
  for (int n = 0; n < SPECIES; n++) start[n] = AT(lambda[n], lane);
  if (plan.equilibration_of[c.protocol] < 0) {
    exact p[ARGUMENTS], p_bar[ARGUMENTS], room[SPECIES];
    c.segment = 0;
    parameters_of(b, c.set, parameters_in(plan, c), p);
    for (int i = 0; i < ARGUMENTS; i++) p_bar[i] = exact_of(0.0);
    pull_initial(p, widened(lambda, room, SPECIES), p_bar);
    add_parameters(parameters_in(plan, c), lane, p_bar, adjoint.slots + c.place * plan.slots);
  }
}

// Puts the next item of the queue into a lane that has none.
STATIC void load_adjoint(const Batch& b, const Adjoint& adjoint, Queue& queue, Course& c, int lane, real* lambda, real* q,
                         real* q_bar)
{
  int64 item;
  while (!c.alive && take(queue, &item)) {
    c.item = item;
    c.set = item % b.sets;
    c.protocol = (int)(item / b.sets);
    c.place = place(b, item);
    double *slots = adjoint.slots + c.place * b.plan.slots, *start = adjoint.start + c.place * SPECIES;
    for (int i = 0; i < b.plan.slots; i++) slots[i] = 0.0;
    for (int n = 0; n < SPECIES; n++) start[n] = 0.0;
    if (b.status[c.place] != OK) continue;
    c.rows = 0;
    for (int s = 0; s < b.plan.segments; s++) c.rows += b.accepted[c.place * b.plan.segments + s];
    c.output = b.plan.times - 1;
    c.segment = b.plan.segments - 1;
    c.alive = true;
    for (int n = 0; n < SPECIES; n++) AT(lambda[n], lane) = 0.0;
    for (int i = 0; i < COEFFICIENTS; i++) AT(q_bar[i], lane) = 0.0;
    enter_adjoint(b, adjoint, c, lane, lambda, q, q_bar);
  }
}

// Adds the cotangents of the outputs within a step to those of the state at its start and of its stages; false if none.
STATIC bool take_outputs(const Batch& b, const Adjoint& adjoint, Course& c, int lane, double t, double h, real* direct,
                         real* stage)
{
  const Plan& plan = b.plan;
  const double* at = plan.at + (int64)c.protocol * plan.times;
  const int* segment = plan.segment + (int64)c.protocol * plan.times;
  bool any = false;
  for (; c.output >= 0 && segment[c.output] == c.segment && at[c.output] > t; c.output--) {
    const double* cotangent = adjoint.cotangent + (c.place * plan.times + c.output) * SPECIES;
    double theta = (at[c.output] - t) / h;
    if (theta > 1.0) theta = 1.0;
    any = true;
    scalar weight[STAGES];
    for (int i = 0; i < STAGES; i++) weight[i] = dense(i, theta);
    for (int n = 0; n < SPECIES; n++) {
      if (cotangent[n] == 0.0) continue;
      AT(direct[n], lane) += cotangent[n];
      for (int i = 0; i < STAGES; i++) AT(stage[i * SPECIES + n], lane) += weight[i] * scalar(cotangent[n]);
    }
  }
  return any;
}

INLINE real gathered(const double* const* row, int column)
{
  real x;
  for (int l = 0; l < LANES; l++) AT(x, l) = row[l][column];
  return x;
}

STATIC void solve_adjoint(const Batch& b, const Adjoint& adjoint, Queue& queue)
{
  real y[SPECIES], q[COEFFICIENTS], lambda[SPECIES], q_bar[COEFFICIENTS], direct[SPECIES], stage[STAGES * SPECIES];
  real h, k[STAGES * SPECIES];
  Course course[LANES];
  double no_row[ROW];  // of a lane that has no course
  for (int i = 0; i < ROW; i++) no_row[i] = 1.0;
  for (int n = 0; n < SPECIES; n++) lambda[n] = real_of(0.0), direct[n] = real_of(0.0);
  for (int i = 0; i < COEFFICIENTS; i++) q[i] = real_of(1.0), q_bar[i] = real_of(0.0);
  for (int i = 0; i < STAGES * SPECIES; i++) stage[i] = real_of(0.0);
  for (int l = 0; l < LANES; l++) {
    course[l].alive = false;
    load_adjoint(b, adjoint, queue, course[l], l, lambda, q, q_bar);
  }
  for (;;) {
    bool any = false, outputs = false;
    const double* row[LANES];
    for (int l = 0; l < LANES; l++) {
      Course& c = course[l];
      row[l] = no_row;
      if (!c.alive) continue;
      any = true;
      row[l] = rows_of(b, c.item) + (int64)(c.rows - 1) * ROW;
      outputs |= take_outputs(b, adjoint, c, l, row[l][RECORD_TIME], row[l][RECORD_STEP], direct, stage);
    }
    if (!any_thread(any)) return;
    h = gathered(row, RECORD_STEP);
    for (int n = 0; n < SPECIES; n++) y[n] = gathered(row, HEAD + n);
    for (int i = 0; i < KEPT; i++) k[i] = gathered(row, HEAD + SPECIES + i);
    step_adjoint(y, q, h, k, outputs ? stage : (const real*)0, lambda, q_bar);
    if (outputs) {
      for (int n = 0; n < SPECIES; n++) lambda[n] += direct[n], direct[n] = real_of(0.0);
      for (int i = 0; i < STAGES * SPECIES; i++) stage[i] = real_of(0.0);
    }
    for (int l = 0; l < LANES; l++) {
      Course& c = course[l];
      if (!c.alive) continue;
      c.rows--;
      --c.tried;
      const bool crossed = EVENTS > 0 && cross_events(b, adjoint, c, l, lambda, q, q_bar);
      if (c.tried) {
        if (crossed) continue;
        if (SWITCHES > 0 && rows_of(b, c.item)[(int64)(c.rows - 1) * ROW + RECORD_TIME] < c.from)
          cross_switches(b, adjoint, c, l, y, lambda, q, q_bar);
        continue;
      }
      if (SWITCHES > 0 && !crossed) undo_switches(b, adjoint, c, l, y, lambda, q);
      leave(b, adjoint, c, l, lambda, q_bar);
      c.segment--;
      enter_adjoint(b, adjoint, c, l, lambda, q, q_bar);
      if (!c.alive) load_adjoint(b, adjoint, queue, c, l, lambda, q, q_bar);
    }
  }
}
