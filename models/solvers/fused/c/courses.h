// One solve of many trajectories, and its exact discrete adjoint: the part of the fused engine that is the same for
// every model. `functions.py` writes what a model adds, and build.py puts both into one struct.
//
// `real` holds LANES trajectories side by side (on a GPU one), `mask` a condition for each. A lane that ends takes up
// the next trajectory, so that lanes do not wait for each other. A trajectory's numbers never depend on its neighbours.
//
// Method: Rodas5P (Steinebach 2023) in the form without products with the Jacobian; W = I/(gamma h) - J(y0):
//   W k_i = f(y0 + sum_j a_ij k_j) + sum_j (c_ij / h) k_j,   y1 = y0 + sum_i m_i k_i,   error estimate k_8
//   dense output: y(t + theta h) = y0 + sum_i w_i(theta) k_i
// Adjoint (Daescu, Sandu, Carmichael 2003), step sizes held fixed, for cotangents lambda of y1 and c of y(theta):
//   W^T u_i = m_i lambda + w_i(theta) c + sum_{j>i} (a_ji v_j + (c_ji / h) u_j),   v_i = J(Y_i)^T u_i
//   y0: lambda + c + sum v_i + grad_y sum u_i^T J(y0) k_i      p: sum f_p(Y_i)^T u_i + grad_p sum u_i^T J(y0) k_i

#pragma once
#include "contract.h"
#include "precision.h"
#include "queue.h"
#include "refuse.h"
#include "rodas5p_tables.h"

// A batch: `sets` environments, each under all protocols. Item = protocol * sets + set.
struct Batch {
  Plan plan;
  int64 sets;
  const double* environment;  // sets x slots, of which the last two are rtol and atol
  double* y;                  // sets x protocols x times x species
  int *status, *steps, *rejected;  // sets x protocols
  int* accepted;              // sets x protocols x segments
  double* record;             // sets x protocols x capacity x ROW
  int64 capacity;
  double* rest;               // sets x equilibrations x (steady state, the start it came from, scales) x species
  int *rest_status, *rest_steps;   // sets x equilibrations
  // a second forward pass for items whose record did not fit: rows of item `first + i` lie at again[offset[i]]
  double* again;
  const int64 *offset, *room;  // and item `first + i` has room for room[i] of them
  int64 first;
};

STATIC int64 place(const Batch& b, int64 item)
{
  return (item % b.sets) * b.plan.protocols + item / b.sets;
}

STATIC double* rows_of(const Batch& b, int64 item)
{
  if (b.again && b.offset[item - b.first] >= 0) return b.again + b.offset[item - b.first];
  return b.record + place(b, item) * b.capacity * ROW;
}

// Error a step, of each lane's trajectory, and what the absolute one of each species follows.
struct Tolerances {
  real rtol, atol[SPECIES], scale[SPECIES];
};

STATIC const double* own_tolerances(const Batch& b, int64 set)
{
  return b.environment + (set + 1) * b.plan.slots - TOLERANCES;
}

// False where a set's own are none: they may come from a traced computation, where nobody could check them.
STATIC bool load_tolerances(const Batch& b, int64 set, int lane, Tolerances& tolerance)
{
  const double* own = own_tolerances(b, set);
  AT(tolerance.rtol, lane) = own[SET_RTOL];
  for (int n = 0; n < SPECIES; n++) AT(tolerance.atol[n], lane) = own[SET_ATOL], AT(tolerance.scale[n], lane) = 0.0;
  const bool kept = own[SET_RTOL] >= LEAST_RTOL && own[SET_ATOL] >= LEAST_ATOL;
  return kept && own[SET_RTOL] > 0.0 && own[SET_RTOL] < 1.0 && own[SET_ATOL] > 0.0 && own[SET_ATOL] < INFINITY;
}

// ---------------------------------------------------------------------------------------------------- the method

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

// One step of size h: stages k and state y1. Returns the squared norm of the error in units of the tolerance.
STATIC real attempt(const real* y, const real* q, const real h, const Tolerances& tolerance, real* k, real* y1)
{
  real w[FACTORS], total = real_of(0.0);
  stages(y, q, h, w, k, y1);
  for (int n = 0; n < SPECIES; n++) {
    const real e = k[(STAGES - 1) * SPECIES + n];
    y1[n] += e;  // as `ADDED` says
    const real a = abs_(y[n]), b = abs_(y1[n]);
    const real off = div_(e, tolerance.atol[n] + tolerance.rtol * select_(a < b, b, a));
    total += off * off;
  }
  return total * scalar(1.0 / SPECIES);
}

// Factor of the next step's size, for the square of an error that goes with h^5.
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

// A first step (Hairer, Norsett, Wanner, Solving ODEs I, II.4); not finite where f is not.
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

// Sizes of all lanes' next steps.
struct Pace {
  exact h;
  bool fresh[LANES], refused_last[LANES];  // at the start of a stretch; after a refusal
  mask free[SPECIES];                      // of concentrations, to be below 0
};

// Absolute tolerances that a state below 0 is judged by: no finer than what rounding makes of the largest species.
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

// The error of a step from y to y1, infinite where no solution takes it.
STATIC real judged(Pace& pace, const real* y, const real* y1, const real* q, const Tolerances& tolerance, const real error)
{
  real atol[SPECIES];
  judging(y, tolerance, atol);
  const mask fell = fallen(y, y1, q, tolerance.rtol, atol, error <= 1, pace.free);
  return select_(or_(fell, undefined(y1, q, tolerance.rtol, atol)), real_of(INFINITY), error);
}

// `attempt`. After a refusal, a step so short that it matters to nothing is taken where its error is rounding beside the
// largest species: so steps come past a moment at which a condition on the state goes.
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
  // One call, so that a lane's numbers do not depend on how the compiler rounds in another copy of it.
  return attempt(y, q, narrow_(h), any ? loose : tolerance, k, y1);
}

// Tolerances and first steps for the lanes that begin. `span`: how far they go.
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

// A lane's next step, after one that was taken or refused; false where it was to shrink.
STATIC bool adapt(Pace& pace, int lane, bool went, double factor, double step, double longest)
{
  if (factor > 1.0 && (!went || pace.refused_last[lane])) factor = 1.0;
  if (!went && factor > 0.9) factor = 0.9;
  pace.refused_last[lane] = !went;
  const double next = step * factor;
  AT(pace.h, lane) = next > longest ? longest : next;
  return factor > 1.0;
}

// ---------------------------------------------------------------------------------------------------- parameters

// One item's parameters, in all lanes.
STATIC void parameters_of(const Batch& b, int64 set, const int* index, exact* p)
{
  const double* values = b.environment + set * b.plan.slots;
  for (int i = 0; i < PARAMETERS; i++) p[i] = exact_of(values[index[i]]);
}

// What rates depend on but the state: an item's parameters and, of each switch, whether it has gone before `moment`; in all
// lanes. The moments of the switches are left in `times`.
STATIC void arguments_of(const Batch& b, int64 set, const int* index, double moment, exact* p, exact* times)
{
  parameters_of(b, set, index, p);
  if (SWITCHES == 0) return;
  switch_times(p, times);
  for (int k = 0; k < SWITCHES; k++) p[PARAMETERS + k] = exact_of(AT(times[k], 0) < moment ? 1.0 : 0.0);
}

STATIC void load_coefficients(const Batch& b, int64 set, const int* index, double moment, int lane, real* q)
{
  exact p[ARGUMENTS], times[SWITCHES + 1], x[COEFFICIENTS];
  arguments_of(b, set, index, moment, p, times);
  coefficients(p, x);
  for (int i = 0; i < COEFFICIENTS; i++) AT(q[i], lane) = within(AT(x[i], lane));
}

STATIC void load_initial(const Batch& b, int64 set, const int* index, int lane, exact* y)
{
  exact p[ARGUMENTS], x[SPECIES];
  parameters_of(b, set, index, p);
  initial(p, x);
  for (int n = 0; n < SPECIES; n++) AT(y[n], lane) = AT(x[n], lane);
}

// ------------------------------------------------------------------------------------------------------ time courses

// A stretch is the part of a segment between two switches that go within it, or an end of the segment.
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

// The state `time` at an output is that output's time to the last digit: what is observed may compare it with a moment.
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

STATIC int64 segment_of(const Plan& plan, const Course& c) { return (int64)c.protocol * plan.segments + c.segment; }
STATIC double end_of(const Plan& plan, const Course& c) { return plan.stop[segment_of(plan, c)]; }

STATIC double begin_of(const Plan& plan, const Course& c)
{
  const double begin = plan.start[segment_of(plan, c)], end = end_of(plan, c);
  return begin < end ? begin : end;
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

// Puts a lane at the start of segment c.segment: jumps, outputs at that time. Goes on over empty segments.
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
    while (c.output < plan.times && segment[c.output] == c.segment && (empty || at[c.output] <= begin)) save(b, c, lane, y);
    if (b.accepted) b.accepted[c.place * plan.segments + c.segment] = 0;
    if (!empty) {
      c.to = begin;
      return enter_stretch(b, c, lane, pace, q, t, stop, longest);
    }
  }
  end_course(b, c, OK);
}

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
    const int rest = plan.equilibration_of[c.protocol];
    if (rest >= 0) {
      const int64 r = c.set * plan.equilibrations + rest;
      if (b.rest_status[r] != OK) {
        end_course(b, c, b.rest_status[r]);
        if (b.y) b.steps[c.place] = b.rest_steps[r];
        continue;
      }
      c.taken = b.y ? b.rest_steps[r] : 0;
      for (int n = 0; n < SPECIES; n++) AT(y[n], lane) = b.rest[(STEADY_ROWS * r + STEADY_STATE) * SPECIES + n];
    } else {
      exact first[SPECIES];
      load_initial(b, c.set, parameters_in(plan, c), lane, first);
      for (int n = 0; n < SPECIES; n++) AT(y[n], lane) = AT(first[n], lane);
    }
    know_scales(b, c, lane, y, tolerance);
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
  Pace pace = {exact_of(1.0)};
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
    if (!any) return;
    const exact span = longest * (1.0 / plan.longest_step);
    set_out(plan, pace, y, q, tolerance, narrow_(longest), narrow_(span));
    const exact_mask last = t + 1.0000001 * pace.h >= stop;
    const exact step = select_(last, stop - t, pace.h);
    const real error = judged(pace, y, y1, q, tolerance, attempt_within(pace, y, q, step, span, tolerance, k, y1));
    const mask good = error <= 1;
    const real factor = growth(error);
    const exact end = select_(last, stop, t + step);
    for (int l = 0; l < LANES; l++)
      if (course[l].alive && AT(good, l)) note_step(b, course[l], l, y, k, AT(t, l), AT(step, l), AT(end, l));
    for (int n = 0; n < SPECIES; n++) y[n] = select_(good, y1[n], y[n]);
    t = select_(widen_(good), end, t);
    for (int l = 0; l < LANES; l++) {
      Course& c = course[l];
      if (!c.alive) continue;
      c.tried++;
      c.taken++;
      const bool went = AT(good, l) != 0, grew = adapt(pace, l, went, AT(factor, l), AT(step, l), AT(longest, l));
      c.refused += !went;
      if (went && AT(last, l)) {
        if (c.to < end_of(plan, c)) {
          enter_stretch(b, c, l, pace, q, t, stop, longest);
        } else {
          c.segment++;
          enter(b, c, l, pace, y, q, t, stop, longest);
        }
      } else if (!grew && !(AT(pace.h, l) > SHORTEST * AT(longest, l) / plan.longest_step)) {  // a first step may be shorter
        end_course(b, c, !(AT(error, l) < INFINITY) ? NOT_FINITE : STEP_TOO_SMALL);
      } else if (c.tried >= plan.max_steps) {
        end_course(b, c, TOO_MANY_STEPS);
      }
      if (!c.alive) load_course(b, queue, c, l, pace, tolerance, y, q, t, stop, longest);
    }
  }
}

// ------------------------------------------------------------------------------------------------------------ adjoint

struct Adjoint {
  const double* cotangent;  // sets x protocols x times x species
  double* start;            // sets x protocols x species: cotangent of each start
  double* slots;            // sets x protocols x slots
  double* rest_slots;       // sets x equilibrations x slots
};

// One step back: lambda from y1 to y0, q_bar added to. `outputs`: cotangents that dense output gives the k_i, or none.
// The stages k are given where they are kept, and found again where not.
STATIC void step_back(const real* y, const real* q, const real h, real* k, const real* outputs, real* lambda, real* q_bar)
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

STATIC void add_parameters(const int* index, int lane, const exact* p_bar, double* slots)
{
  for (int i = 0; i < PARAMETERS; i++) slots[index[i]] += AT(p_bar[i], lane);
}

// The last switch that goes before c.to is where the stretch begins, or the segment does.
STATIC void enter_stretch_back(const Batch& b, Course& c, int lane, real* q)
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

// Undoes the switches at c.from, whose state is y. That a switch goes later by dT moves the state by the difference of the
// rates before and after it, times dT. Of several at one moment, the last in order is undone first.
STATIC void undo_switches(const Batch& b, const Adjoint& adjoint, const Course& c, int lane, const real* y, const real* lambda,
                          const real* q)
{
  const int* index = parameters_in(b.plan, c);
  exact p[ARGUMENTS], times[SWITCHES + 1], u[SWITCHES + 1], p_bar[ARGUMENTS], x[COEFFICIENTS];
  real after[SPECIES], before[SPECIES], changed[COEFFICIENTS];
  arguments_of(b, c.set, index, 0.5 * (c.from + c.to), p, times);
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

// Goes back over the switches at c.from, into the stretch that ends there.
STATIC void cross_back(const Batch& b, const Adjoint& adjoint, Course& c, int lane, const real* y, const real* lambda, real* q,
                       real* q_bar)
{
  leave_stretch(b, adjoint, c, lane, q_bar);
  undo_switches(b, adjoint, c, lane, y, lambda, q);
  c.to = c.from;
  enter_stretch_back(b, c, lane, q);
}

// Takes in the outputs at a segment's begin, hands its parameters' cotangents over, and undoes its jumps.
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

// Puts a lane at the end of the last segment before c.segment + 1 that has steps; ends the course where none is left.
STATIC void enter_back(const Batch& b, const Adjoint& adjoint, Course& c, int lane, real* lambda, real* q, real* q_bar)
{
  const Plan& plan = b.plan;
  for (; c.segment >= 0; c.segment--) {
    c.tried = b.accepted[c.place * plan.segments + c.segment];
    c.from = c.to = end_of(plan, c);
    if (c.tried) return enter_stretch_back(b, c, lane, q);
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

STATIC void load_back(const Batch& b, const Adjoint& adjoint, Queue& queue, Course& c, int lane, real* lambda, real* q, real* q_bar)
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
    enter_back(b, adjoint, c, lane, lambda, q, q_bar);
  }
}

// Cotangents of the outputs within a step, on the state at its start and on its stages.
STATIC bool take_outputs(const Batch& b, const Adjoint& adjoint, Course& c, int lane, double t, double h, real* direct, real* stage)
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

STATIC void solve_back(const Batch& b, const Adjoint& adjoint, Queue& queue)
{
  real y[SPECIES], q[COEFFICIENTS], lambda[SPECIES], q_bar[COEFFICIENTS], direct[SPECIES], stage[STAGES * SPECIES];
  real h, k[STAGES * SPECIES];
  Course course[LANES];
  double idle[ROW];
  for (int i = 0; i < ROW; i++) idle[i] = 1.0;
  for (int n = 0; n < SPECIES; n++) lambda[n] = real_of(0.0), direct[n] = real_of(0.0);
  for (int i = 0; i < COEFFICIENTS; i++) q[i] = real_of(1.0), q_bar[i] = real_of(0.0);
  for (int i = 0; i < STAGES * SPECIES; i++) stage[i] = real_of(0.0);
  for (int l = 0; l < LANES; l++) {
    course[l].alive = false;
    load_back(b, adjoint, queue, course[l], l, lambda, q, q_bar);
  }
  for (;;) {
    bool any = false, outputs = false;
    const double* row[LANES];
    for (int l = 0; l < LANES; l++) {
      Course& c = course[l];
      row[l] = idle;
      if (!c.alive) continue;
      any = true;
      row[l] = rows_of(b, c.item) + (int64)(c.rows - 1) * ROW;
      outputs |= take_outputs(b, adjoint, c, l, row[l][RECORD_TIME], row[l][RECORD_STEP], direct, stage);
    }
    if (!any) return;
    h = gathered(row, RECORD_STEP);
    for (int n = 0; n < SPECIES; n++) y[n] = gathered(row, HEAD + n);
    for (int i = 0; i < KEPT; i++) k[i] = gathered(row, HEAD + SPECIES + i);
    step_back(y, q, h, k, outputs ? stage : (const real*)0, lambda, q_bar);
    if (outputs) {
      for (int n = 0; n < SPECIES; n++) lambda[n] += direct[n], direct[n] = real_of(0.0);
      for (int i = 0; i < STAGES * SPECIES; i++) stage[i] = real_of(0.0);
    }
    for (int l = 0; l < LANES; l++) {
      Course& c = course[l];
      if (!c.alive) continue;
      c.rows--;
      if (--c.tried) {
        if (SWITCHES > 0 && rows_of(b, c.item)[(int64)(c.rows - 1) * ROW + RECORD_TIME] < c.from) cross_back(b, adjoint, c, l, y, lambda, q, q_bar);
        continue;
      }
      if (SWITCHES > 0) undo_switches(b, adjoint, c, l, y, lambda, q);
      leave(b, adjoint, c, l, lambda, q_bar);
      c.segment--;
      enter_back(b, adjoint, c, l, lambda, q, q_bar);
      if (!c.alive) load_back(b, adjoint, queue, c, l, lambda, q, q_bar);
    }
  }
}
