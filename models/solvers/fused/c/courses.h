// Many trajectories, each from its start to its last output.
//
// `real` holds LANES trajectories side by side (on a GPU one), `mask` a condition for each. A lane whose trajectory has ended
// takes the next one from the queue, so lanes do not wait for each other. The numbers of a trajectory never depend on its
// neighbours.
#pragma once
#include "events.h"
#include "queue.h"
#include "step_control.h"

// A trajectory on its way. A stretch is the part of a segment between two moments at which conditions in time switch, or an
// end of the segment.
struct Course {
  int64 item, set, place;
  int protocol, segment, output, tried, taken, refused, rows;
  double from, to;  // ends of the stretch
  bool alive;
};

STATIC const int* parameters_in(const Plan& plan, const Course& c)
{
  return plan.parameters + ((int64)c.protocol * plan.segments + c.segment) * PARAMETERS;
}

STATIC int64 segment_of(const Plan& plan, const Course& c) { return (int64)c.protocol * plan.segments + c.segment; }
STATIC double end_of(const Plan& plan, const Course& c) { return plan.stop[segment_of(plan, c)]; }

STATIC double begin_of(const Plan& plan, const Course& c)
{
  const double begin = plan.start[segment_of(plan, c)], end = end_of(plan, c);
  return begin < end ? begin : end;
}

// The state `time` of an output is the time of that output to the last digit: an observable may compare it with a moment.
STATIC void note_time(const Plan& plan, const Course& c, double* out)
{
  if (TIME_STATE >= 0) out[TIME_STATE] = plan.at[(int64)c.protocol * plan.times + c.output];
}

STATIC void save(const Batch& b, Course& c, int lane, const real* y)
{
  if (b.y) {
    double* out = b.y + (c.place * b.plan.times + c.output) * SPECIES;
    for (int n = 0; n < SPECIES; n++) out[n] = AT(y[n], lane);
    note_time(b.plan, c, out);
  }
  c.output++;
}

// Saves the state as that of all outputs of the segment up to `moment`.
STATIC void save_until(const Batch& b, Course& c, int lane, const real* y, double moment)
{
  const double* at = b.plan.at + (int64)c.protocol * b.plan.times;
  const int* segment = b.plan.segment + (int64)c.protocol * b.plan.times;
  while (c.output < b.plan.times && segment[c.output] == c.segment && at[c.output] <= moment) save(b, c, lane, y);
}

// Records the state before events act.
STATIC void note_events(const Batch& b, Course& c, int lane, double moment, const real* y)
{
  if (c.rows < (b.again ? b.room[c.item - b.first] : b.capacity)) {
    double* row = rows_of(b, c.item) + (int64)c.rows * ROW;
    row[RECORD_TIME] = moment;
    row[RECORD_STEP] = INFINITY;
    for (int n = 0; n < SPECIES; n++) row[HEAD + n] = AT(y[n], lane);
    for (int i = 0; i < KEPT; i++) row[HEAD + SPECIES + i] = 0.0;
  }
  c.rows++;
  if (b.accepted) b.accepted[c.place * b.plan.segments + c.segment]++;
}

// Lets the events of a moment act on a lane's state; outputs at that moment show what they leave, unless they show the state before.
STATIC void let_events_act(const Batch& b, Course& c, int lane, double moment, bool first, real* y)
{
  const int* index = parameters_in(b.plan, c);
  Acting acting;
  if (find_acting(b, c.set, index, moment, first, acting)) {
    exact p[ARGUMENTS], times[SWITCHES + 1], base[SPECIES], after[SPECIES];
    note_events(b, c, lane, moment, y);
    if (shows_before(b, c.set, index, moment, first)) save_until(b, c, lane, y, moment);
    arguments_after(b, c.set, index, moment, p, times);
    for (int n = 0; n < SPECIES; n++) base[n] = exact_of(AT(y[n], lane));
    rank(p, base, acting);
    act(p, acting, EVENTS, base, after);
    for (int n = 0; n < SPECIES; n++) AT(y[n], lane) = AT(after[n], 0);
  }
  save_until(b, c, lane, y, moment);
}

// True if what happens at the end of a segment belongs to it, and not to the next one.
STATIC bool closed(const Plan& plan, const Course& c)
{
  return c.segment + 1 == plan.segments || plan.start[segment_of(plan, c) + 1] > end_of(plan, c);
}

// A failed course is NaN.
STATIC void end_course(const Batch& b, Course& c, int status)
{
  c.alive = false;
  if (!b.y) return;
  if (status == OK && !all_finite(b.y + c.place * b.plan.times * SPECIES, (int64)b.plan.times * SPECIES)) status = NOT_FINITE;
  b.status[c.place] = status;
  b.steps[c.place] = c.taken;
  b.rejected[c.place] = c.refused;
  if (status != OK) {
    double* out = b.y + c.place * b.plan.times * SPECIES;
    for (int64 i = 0; i < (int64)b.plan.times * SPECIES; i++) out[i] = NAN;
  }
}

// Puts a lane at the start of the stretch that begins at c.to.
STATIC void enter_stretch(const Batch& b, Course& c, int lane, Pace& pace, real* q, exact& t, exact& stop, exact& longest)
{
  const int* index = parameters_in(b.plan, c);
  c.from = c.to;
  c.to = end_of(b.plan, c);
  if (SWITCHES > 0) {
    exact p[ARGUMENTS], times[SWITCHES + 1];
    arguments_of(b, c.set, index, c.from, p, times);
    for (int k = 0; k < SWITCHES; k++)
      if (AT(times[k], 0) > c.from && AT(times[k], 0) < c.to) c.to = AT(times[k], 0);
  }
  load_coefficients(b, c.set, index, 0.5 * (c.from + c.to), lane, q);
  AT(t, lane) = c.from;
  AT(stop, lane) = c.to;
  AT(longest, lane) = b.plan.longest_step * (c.to - c.from);
  c.tried = 0;
  pace.fresh[lane] = true;
}

// Puts a lane at the start of segment c.segment: jumps, outputs at that time. Skips empty segments.
STATIC void enter(const Batch& b, Course& c, int lane, Pace& pace, real* y, real* q, exact& t, exact& stop, exact& longest)
{
  const Plan& plan = b.plan;
  const double* values = b.environment + c.set * plan.slots;
  for (; c.segment < plan.segments; c.segment++) {
    const int64 where = segment_of(plan, c);
    for (int n = 0; n < SPECIES; n++) {
      const int assigned = plan.assign[where * SPECIES + n], scaled = plan.scale[where * SPECIES + n];
      if (assigned >= 0) AT(y[n], lane) = values[assigned];
      else if (scaled >= 0) AT(y[n], lane) *= values[scaled];
      AT(y[n], lane) += values[plan.add[where * SPECIES + n]];
    }
    const double begin = begin_of(plan, c), end = end_of(plan, c);
    const double* at = plan.at + (int64)c.protocol * plan.times;
    const int* segment = plan.segment + (int64)c.protocol * plan.times;
    const bool empty = !(begin < end);
    if (EVENTS > 0) {
      if (b.accepted) b.accepted[c.place * plan.segments + c.segment] = 0;
      if (plan.start[where] < INFINITY) let_events_act(b, c, lane, begin, c.segment == 0, y);
    }
    while (c.output < plan.times && segment[c.output] == c.segment && (empty || at[c.output] <= begin)) save(b, c, lane, y);
    if (EVENTS == 0 && b.accepted) b.accepted[c.place * plan.segments + c.segment] = 0;
    if (!empty) {
      c.to = begin;
      return enter_stretch(b, c, lane, pace, q, t, stop, longest);
    }
  }
  end_course(b, c, OK);
}

// Puts the next item of the queue into a lane that has none.
STATIC void load_course(const Batch& b, Queue& queue, Course& c, int lane, Pace& pace, Tolerances& tolerance, real* y, real* q,
                        exact& t, exact& stop, exact& longest)
{
  const Plan& plan = b.plan;
  int64 item;
  while (!c.alive && take(queue, &item)) {
    c.item = item;
    c.set = item % b.sets;
    c.protocol = (int)(item / b.sets);
    c.place = place(b, item);
    c.segment = c.output = c.taken = c.refused = c.rows = 0;
    c.alive = true;
    if (!load_tolerances(b, c.set, lane, tolerance)) {
      end_course(b, c, NOT_FINITE);
      continue;
    }
    const int before = plan.equilibration_of[c.protocol];
    if (before >= 0) {
      const int64 where = c.set * plan.equilibrations + before;
      if (b.steady_status[where] != OK) {
        end_course(b, c, b.steady_status[where]);
        if (b.y) b.steps[c.place] = b.steady_steps[where];
        continue;
      }
      c.taken = b.y ? b.steady_steps[where] : 0;
      for (int n = 0; n < SPECIES; n++) AT(y[n], lane) = steady_row(b, where, STEADY_STATE)[n];
    } else {
      exact first[SPECIES];
      load_initial(b, c.set, parameters_in(plan, c), lane, first);
      for (int n = 0; n < SPECIES; n++) AT(y[n], lane) = AT(first[n], lane);
    }
    know_scales(b, c.set, c.protocol, lane, y, tolerance);
    enter(b, c, lane, pace, y, q, t, stop, longest);
  }
}

// Saves what lies in (t, t + h], and the step itself, before y moves on.
STATIC void note_step(const Batch& b, Course& c, int lane, const real* y, const real* k, double t, double h, double end)
{
  const Plan& plan = b.plan;
  const double* at = plan.at + (int64)c.protocol * plan.times;
  const int* segment = plan.segment + (int64)c.protocol * plan.times;
  while (c.output < plan.times && segment[c.output] == c.segment && at[c.output] <= end) {
    if (EVENTS > 0 && at[c.output] >= c.to) break;  // events may act then
    if (b.y) {
      double* out = b.y + (c.place * plan.times + c.output) * SPECIES;
      const double theta = at[c.output] >= end ? 1.0 : (at[c.output] - t) / h;
      scalar weight[STAGES];
      for (int i = 0; i < STAGES; i++) weight[i] = dense(i, theta);
      for (int n = 0; n < SPECIES; n++) {
        scalar x = AT(y[n], lane);
        for (int i = 0; i < STAGES; i++) x += weight[i] * AT(k[i * SPECIES + n], lane);
        out[n] = x;
      }
      note_time(plan, c, out);
    }
    c.output++;
  }
  if (c.rows < (b.again ? b.room[c.item - b.first] : b.capacity)) {
    double* row = rows_of(b, c.item) + (int64)c.rows * ROW;
    row[RECORD_TIME] = t;
    row[RECORD_STEP] = h;
    for (int n = 0; n < SPECIES; n++) row[HEAD + n] = AT(y[n], lane);
    for (int i = 0; i < KEPT; i++) row[HEAD + SPECIES + i] = AT(k[i], lane);
  }
  c.rows++;
  if (b.accepted) b.accepted[c.place * plan.segments + c.segment]++;
}

STATIC void solve_courses(const Batch& b, Queue& queue)
{
  const Plan& plan = b.plan;
  real y[SPECIES], q[COEFFICIENTS], y1[SPECIES], k[STAGES * SPECIES];
  exact t = exact_of(0.0), stop = exact_of(1.0), longest = exact_of(1.0);
  Pace pace = {};
  pace.h = exact_of(1.0);
  Tolerances tolerance = any_tolerances();
  Course course[LANES];
  for (int n = 0; n < SPECIES; n++) y[n] = real_of(1.0);
  for (int i = 0; i < COEFFICIENTS; i++) q[i] = real_of(1.0);
  for (int l = 0; l < LANES; l++) {
    course[l].alive = false;
    load_course(b, queue, course[l], l, pace, tolerance, y, q, t, stop, longest);
  }
  for (;;) {
    bool any = false;
    for (int l = 0; l < LANES; l++) any |= course[l].alive;
    if (!any_thread(any)) return;
    const exact span = longest * (1.0 / plan.longest_step);
    set_out(plan, pace, y, q, tolerance, narrow_(longest), narrow_(span));
    const exact_mask last = t + 1.0000001 * pace.h >= stop;
    const exact step = select_(last, stop - t, pace.h);
    const real error = judged(pace, y, y1, q, tolerance, attempt_within(pace, y, q, step, span, tolerance, k, y1));
    together();
    const mask good = error <= 1;
    const real factor = growth(error);
    const exact end = select_(last, stop, t + step);
    for (int l = 0; l < LANES; l++)
      if (course[l].alive && AT(good, l)) note_step(b, course[l], l, y, k, AT(t, l), AT(step, l), AT(end, l));
    together();
    for (int n = 0; n < SPECIES; n++) y[n] = select_(good, y1[n], y[n]);
    t = select_(widen_(good), end, t);
    for (int l = 0; l < LANES; l++) {
      Course& c = course[l];
      if (!c.alive) continue;
      c.tried++;
      c.taken++;
      const bool accepted = AT(good, l) != 0, increased = adapt(pace, l, accepted, AT(factor, l), AT(step, l), AT(longest, l));
      c.refused += !accepted;
      if (accepted && AT(last, l)) {
        if (c.to < end_of(plan, c)) {
          if (EVENTS > 0) let_events_act(b, c, l, c.to, false, y);
          enter_stretch(b, c, l, pace, q, t, stop, longest);
        } else {
          if (EVENTS > 0 && closed(plan, c)) let_events_act(b, c, l, c.to, false, y);
          c.segment++;
          enter(b, c, l, pace, y, q, t, stop, longest);
        }
      } else if (!increased && !(AT(pace.h, l) > SHORTEST * AT(longest, l) / plan.longest_step)) {  // a first step may be shorter
        end_course(b, c, !(AT(error, l) < INFINITY) ? NOT_FINITE : STEP_TOO_SMALL);
      } else if (c.tried >= plan.max_steps) {
        end_course(b, c, TOO_MANY_STEPS);
      }
      if (!c.alive) load_course(b, queue, c, l, pace, tolerance, y, q, t, stop, longest);
    }
  }
}
