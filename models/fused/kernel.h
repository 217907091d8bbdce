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

enum Status { OK = 0, TOO_MANY_STEPS = 1, STEP_TOO_SMALL = 2, NOT_FINITE = 3, NO_STEADY_STATE = 4 };
enum { STAGES = 8, HEAD = 2, ROW = SPECIES + HEAD };  // a row of the record: t, h, y

// ---------------------------------------------------------------------------------------------- the problem's arrays

// Protocols, as `hexamer.models.plan` lays them out; indices point into the environment, below 0: unchanged.
struct Plan {
  int protocols, segments, times, equilibrations, slots, max_steps;
  double rtol, atol, longest;
  const int *rest_parameters, *rest_set, *rest_of, *parameters, *assign, *add, *segment;
  const double *start, *stop, *at;
};

// A batch: `sets` environments, each under all protocols. Item = protocol * sets + set.
struct Batch {
  Plan plan;
  long sets;
  const double* environment;  // sets x slots
  double* y;                  // sets x protocols x times x species
  int *status, *steps, *rejected;  // sets x protocols
  int* accepted;              // sets x protocols x segments
  double* record;             // sets x protocols x capacity x ROW
  long capacity;
  double* rest;               // sets x equilibrations x (steady state, the start it came from) x species
  int *rest_status, *rest_steps;   // sets x equilibrations
  // a second forward pass for items whose record did not fit: rows of item `first + i` lie at again[offset[i]]
  double* again;
  const long* offset;
  long first;
};

STATIC long place(const Batch& b, long item)
{
  return (item % b.sets) * b.plan.protocols + item / b.sets;
}

STATIC double* rows_of(const Batch& b, long item)
{
  if (b.again && b.offset[item - b.first] >= 0) return b.again + b.offset[item - b.first];
  return b.record + place(b, item) * b.capacity * ROW;
}

// ---------------------------------------------------------------------------------------------------- the method

INLINE double A(int i, int j)
{
  static const double table[8][8] = {@A@};
  return table[i][j];
}

INLINE double C(int i, int j)
{
  static const double table[8][8] = {@C@};
  return table[i][j];
}

INLINE double M(int i)
{
  static const double table[8] = {@M@};
  return table[i];
}

// Weight of stage i in the dense output.
INLINE double dense(int i, double theta)
{
  static const double table[3][8] = {@H@};
  return theta * (M(i) + (1.0 - theta) * (table[0][i] + theta * (table[1][i] + theta * table[2][i])));
}

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

STATIC void stages(const real* y, const real* p, const real h, real* w, real* k)
{
  real j[ENTRIES], s[SPECIES], f[SPECIES];
  const real inverse = 1.0 / h;
  jacobian(y, p, j);
  factorise(j, inverse * (1.0 / @GAMMA@), w);
  UNROLL
  for (int i = 0; i < STAGES; i++) {
    real* b = k + i * SPECIES;
    combine(i, y, k, s, b);
    rates(s, p, f);
    for (int n = 0; n < SPECIES; n++) b[n] = f[n] + inverse * b[n];
    solve(w, b);
  }
}

// One step of size h: stages k and state y1. Returns the squared norm of the error in units of the tolerance.
STATIC real attempt(const real* y, const real* p, const real h, double rtol, double atol, real* k, real* y1)
{
  real w[FACTORS], total = real_of(0.0);
  stages(y, p, h, w, k);
  combine(STAGES - 1, y, k, y1, (real*)0);  // m = (a_8, 1)
  for (int n = 0; n < SPECIES; n++) {
    const real e = k[(STAGES - 1) * SPECIES + n];
    y1[n] += e;
    const real a = abs_(y[n]), b = abs_(y1[n]);
    const real q = e / (atol + rtol * select_(a < b, b, a));
    total += q * q;
  }
  return total * (1.0 / SPECIES);
}

// Factor of the next step's size by a PI controller; `before` is the last accepted error squared.
STATIC real growth(const real error, const real before)
{
  const real e = select_(error < 1e-8, real_of(1e-8), error);
  const real factor = 0.9 * exp_(@INTEGRAL@ * log_(e) + @PROPORTIONAL@ * log_(before));
  const real bounded = select_(factor > 8.0, real_of(8.0), select_(factor < 0.2, real_of(0.2), factor));
  return select_(error < INFINITY, bounded, real_of(0.2));
}

STATIC real size_of(const real* x, const real* y, double rtol, double atol)
{
  real total = real_of(0.0);
  for (int n = 0; n < SPECIES; n++) {
    const real q = x[n] / (atol + rtol * abs_(y[n]));
    total += q * q;
  }
  return sqrt_(total * (1.0 / SPECIES));
}

// A first step (Hairer, Norsett, Wanner, Solving ODEs I, II.4); not finite where f is not.
STATIC real first_step(const real* y, const real* p, double rtol, double atol, const real longest)
{
  real f[SPECIES], s[SPECIES], g[SPECIES];
  rates(y, p, f);
  const real d0 = size_of(y, y, rtol, atol), d1 = size_of(f, y, rtol, atol);
  const real tiny = 1e-6 * longest;
  real h = select_(or_(d0 < 1e-5, d1 < 1e-5), tiny, 0.01 * d0 / d1);
  h = select_(h > longest, longest, h);
  for (int n = 0; n < SPECIES; n++) s[n] = y[n] + h * f[n];
  rates(s, p, g);
  for (int n = 0; n < SPECIES; n++) g[n] = g[n] - f[n];
  const real d2 = size_of(g, y, rtol, atol) / h, d = select_(d1 > d2, d1, d2);
  real second = exp_(0.2 * (log_(real_of(0.01)) - log_(select_(d > 1e-15, d, real_of(1e-15)))));
  second = select_(second > 100.0 * h, 100.0 * h, second);
  second = select_(second > longest, longest, second);
  return select_(d1 < INFINITY, second, real_of(NAN));
}

// ------------------------------------------------------------------------------------------------------ time courses

struct Course {
  long item, set, place;
  int protocol, segment, output, tried, taken, refused, rows;
  bool alive, fresh, refused_last;
};

STATIC void load_parameters(const Batch& b, const Course& c, int lane, real* p)
{
  const Plan& plan = b.plan;
  const int* index = plan.parameters + ((long)c.protocol * plan.segments + c.segment) * PARAMETERS;
  const double* values = b.environment + c.set * plan.slots;
  for (int i = 0; i < PARAMETERS; i++) AT(p[i], lane) = values[index[i]];
}

STATIC void save(const Batch& b, Course& c, int lane, const real* y)
{
  if (b.y) {
    double* out = b.y + (c.place * b.plan.times + c.output) * SPECIES;
    for (int n = 0; n < SPECIES; n++) out[n] = AT(y[n], lane);
  }
  c.output++;
}

STATIC void end_course(const Batch& b, Course& c, int status)
{
  c.alive = false;
  if (!b.y) return;
  if (status == OK && !all_finite(b.y + c.place * b.plan.times * SPECIES, (long)b.plan.times * SPECIES)) status = NOT_FINITE;
  b.status[c.place] = status;
  b.steps[c.place] = c.taken;
  b.rejected[c.place] = c.refused;
  if (status != OK) {
    double* out = b.y + c.place * b.plan.times * SPECIES;
    for (long i = 0; i < (long)b.plan.times * SPECIES; i++) out[i] = NAN;
  }
}

// Puts a lane at the start of segment c.segment: jumps, outputs at that time. Goes on over empty segments.
STATIC void enter(const Batch& b, Course& c, int lane, real* y, real* p, real& t, real& stop, real& longest)
{
  const Plan& plan = b.plan;
  const double* values = b.environment + c.set * plan.slots;
  for (; c.segment < plan.segments; c.segment++) {
    const long where = (long)c.protocol * plan.segments + c.segment;
    load_parameters(b, c, lane, p);
    for (int n = 0; n < SPECIES; n++) {
      const int assigned = plan.assign[where * SPECIES + n];
      if (assigned >= 0) AT(y[n], lane) = values[assigned];
      AT(y[n], lane) += values[plan.add[where * SPECIES + n]];
    }
    const double end = plan.stop[where], begin = plan.start[where] < end ? plan.start[where] : end;
    const double* at = plan.at + (long)c.protocol * plan.times;
    const int* segment = plan.segment + (long)c.protocol * plan.times;
    const bool empty = !(begin < end);
    while (c.output < plan.times && segment[c.output] == c.segment && (empty || at[c.output] <= begin)) save(b, c, lane, y);
    if (b.accepted) b.accepted[c.place * plan.segments + c.segment] = 0;
    if (!empty) {
      AT(t, lane) = begin;
      AT(stop, lane) = end;
      AT(longest, lane) = plan.longest * (end - begin);
      c.tried = 0;
      c.fresh = true;
      return;
    }
  }
  end_course(b, c, OK);
}

STATIC void load_course(const Batch& b, Queue& queue, Course& c, int lane, real* y, real* p, real& t, real& stop, real& longest)
{
  const Plan& plan = b.plan;
  long item;
  while (!c.alive && take(queue, &item)) {
    c.item = item;
    c.set = item % b.sets;
    c.protocol = (int)(item / b.sets);
    c.place = place(b, item);
    c.segment = c.output = c.taken = c.refused = c.rows = 0;
    c.alive = true;
    c.fresh = c.refused_last = false;
    const int rest = plan.rest_of[c.protocol];
    if (rest >= 0) {
      const long r = c.set * plan.equilibrations + rest;
      if (b.rest_status[r] != OK) {
        end_course(b, c, b.rest_status[r]);
        if (b.y) b.steps[c.place] = b.rest_steps[r];
        continue;
      }
      c.taken = b.y ? b.rest_steps[r] : 0;
      for (int n = 0; n < SPECIES; n++) AT(y[n], lane) = b.rest[2 * r * SPECIES + n];
    } else {
      real start[SPECIES];
      load_parameters(b, c, lane, p);
      initial(p, start);
      for (int n = 0; n < SPECIES; n++) AT(y[n], lane) = AT(start[n], lane);
    }
    enter(b, c, lane, y, p, t, stop, longest);
  }
}

// Saves what lies in (t, t + h], and the step itself, before y moves on.
STATIC void note_step(const Batch& b, Course& c, int lane, const real* y, const real* k, double t, double h, double end)
{
  const Plan& plan = b.plan;
  const double* at = plan.at + (long)c.protocol * plan.times;
  const int* segment = plan.segment + (long)c.protocol * plan.times;
  while (c.output < plan.times && segment[c.output] == c.segment && at[c.output] <= end) {
    if (b.y) {
      double* out = b.y + (c.place * plan.times + c.output) * SPECIES;
      const double theta = at[c.output] >= end ? 1.0 : (at[c.output] - t) / h;
      double weight[STAGES];
      for (int i = 0; i < STAGES; i++) weight[i] = dense(i, theta);
      for (int n = 0; n < SPECIES; n++) {
        double x = AT(y[n], lane);
        for (int i = 0; i < STAGES; i++) x += weight[i] * AT(k[i * SPECIES + n], lane);
        out[n] = x;
      }
    }
    c.output++;
  }
  if (c.rows < b.capacity) {
    double* row = rows_of(b, c.item) + (long)c.rows * ROW;
    row[0] = t;
    row[1] = h;
    for (int n = 0; n < SPECIES; n++) row[HEAD + n] = AT(y[n], lane);
  }
  c.rows++;
  if (b.accepted) b.accepted[c.place * plan.segments + c.segment]++;
}

STATIC void solve_courses(const Batch& b, Queue& queue)
{
  const Plan& plan = b.plan;
  real y[SPECIES], p[PARAMETERS], y1[SPECIES], k[STAGES * SPECIES];
  real t = real_of(0.0), h = real_of(1.0), stop = real_of(1.0), longest = real_of(1.0), before = real_of(1.0);
  Course course[LANES];
  for (int n = 0; n < SPECIES; n++) y[n] = real_of(1.0);
  for (int i = 0; i < PARAMETERS; i++) p[i] = real_of(1.0);
  for (int l = 0; l < LANES; l++) {
    course[l].alive = false;
    load_course(b, queue, course[l], l, y, p, t, stop, longest);
  }
  for (;;) {
    bool any = false, fresh = false;
    for (int l = 0; l < LANES; l++) {
      any |= course[l].alive;
      fresh |= course[l].alive && course[l].fresh;
    }
    if (!any) return;
    if (fresh) {
      const real guess = first_step(y, p, plan.rtol, plan.atol, longest);
      for (int l = 0; l < LANES; l++)
        if (course[l].alive && course[l].fresh) {
          course[l].fresh = course[l].refused_last = false;
          AT(before, l) = 1.0;
          AT(h, l) = AT(guess, l);
        }
    }
    const mask last = t + 1.0000001 * h >= stop;
    const real step = select_(last, stop - t, h);
    const real error = attempt(y, p, step, plan.rtol, plan.atol, k, y1);
    const mask good = error <= 1.0;
    const real factor = growth(error, before), end = select_(last, stop, t + step);
    for (int l = 0; l < LANES; l++)
      if (course[l].alive && AT(good, l)) note_step(b, course[l], l, y, k, AT(t, l), AT(step, l), AT(end, l));
    for (int n = 0; n < SPECIES; n++) y[n] = select_(good, y1[n], y[n]);
    t = select_(good, end, t);
    before = select_(good, select_(error < 1e-4, real_of(1e-4), error), before);
    for (int l = 0; l < LANES; l++) {
      Course& c = course[l];
      if (!c.alive) continue;
      c.tried++;
      c.taken++;
      const bool went = AT(good, l) != 0;
      double grow = AT(factor, l);
      if (grow > 1.0 && (!went || c.refused_last)) grow = 1.0;
      if (!went && grow > 0.9) grow = 0.9;
      double next = AT(step, l) * grow;
      if (next > AT(longest, l)) next = AT(longest, l);
      AT(h, l) = next;
      c.refused_last = !went;
      c.refused += !went;
      if (went && AT(last, l)) {
        c.segment++;
        enter(b, c, l, y, p, t, stop, longest);
      } else if (grow <= 1.0 && !(next > 1e-12 * AT(longest, l) / plan.longest)) {  // a first step may be shorter
        end_course(b, c, !(AT(error, l) < INFINITY) ? NOT_FINITE : STEP_TOO_SMALL);
      } else if (c.tried >= plan.max_steps) {
        end_course(b, c, TOO_MANY_STEPS);
      }
      if (!c.alive) load_course(b, queue, c, l, y, p, t, stop, longest);
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

// One step back: lambda from y1 to y0, p_bar added to. `outputs`: cotangents that dense output gives the k_i, or none.
STATIC void step_back(const real* y, const real* p, const real h, const real* outputs, real* lambda, real* p_bar)
{
  real w[FACTORS], k[STAGES * SPECIES], u[STAGES * SPECIES], v[STAGES * SPECIES], s[SPECIES], c[ENTRIES], y_bar[SPECIES];
  const real inverse = 1.0 / h;
  stages(y, p, h, w, k);
  for (int e = 0; e < ENTRIES; e++) c[e] = real_of(0.0);
  for (int n = 0; n < SPECIES; n++) y_bar[n] = lambda[n];
  UNROLL
  for (int i = STAGES - 1; i >= 0; i--) {
    real *ui = u + i * SPECIES, *vi = v + i * SPECIES;
    for (int n = 0; n < SPECIES; n++) {
      real sum = M(i) * lambda[n], scaled = real_of(0.0);
      UNROLL
      for (int j = i + 1; j < STAGES; j++) {
        sum += A(j, i) * v[j * SPECIES + n];
        scaled += C(j, i) * u[j * SPECIES + n];
      }
      ui[n] = sum + inverse * scaled;
    }
    if (outputs)
      for (int n = 0; n < SPECIES; n++) ui[n] += outputs[i * SPECIES + n];
    solve_transposed(w, ui);
    combine(i, y, k, s, (real*)0);
    for (int n = 0; n < SPECIES; n++) vi[n] = real_of(0.0);
    pull_rates(s, p, ui, vi, p_bar);
    add_outer(ui, k + i * SPECIES, c);
    for (int n = 0; n < SPECIES; n++) y_bar[n] += vi[n];
  }
  pull_jacobian(y, p, c, y_bar, p_bar);
  for (int n = 0; n < SPECIES; n++) lambda[n] = y_bar[n];
}

STATIC void add_parameters(const Batch& b, const Course& c, int lane, const real* p_bar, double* slots)
{
  const int* index = b.plan.parameters + ((long)c.protocol * b.plan.segments + c.segment) * PARAMETERS;
  for (int i = 0; i < PARAMETERS; i++) slots[index[i]] += AT(p_bar[i], lane);
}

// Takes in the outputs at a segment's begin, hands its parameters' cotangents over, and undoes its jumps.
STATIC void leave(const Batch& b, const Adjoint& adjoint, Course& c, int lane, real* lambda, real* p_bar)
{
  const Plan& plan = b.plan;
  const int* segment = plan.segment + (long)c.protocol * plan.times;
  double* slots = adjoint.slots + c.place * plan.slots;
  for (; c.output >= 0 && segment[c.output] == c.segment; c.output--)
    for (int n = 0; n < SPECIES; n++)
      AT(lambda[n], lane) += adjoint.cotangent[(c.place * plan.times + c.output) * SPECIES + n];
  add_parameters(b, c, lane, p_bar, slots);
  for (int i = 0; i < PARAMETERS; i++) AT(p_bar[i], lane) = 0.0;
  const long where = (long)c.protocol * plan.segments + c.segment;
  for (int n = 0; n < SPECIES; n++) {
    slots[plan.add[where * SPECIES + n]] += AT(lambda[n], lane);
    const int assigned = plan.assign[where * SPECIES + n];
    if (assigned >= 0) {
      slots[assigned] += AT(lambda[n], lane);
      AT(lambda[n], lane) = 0.0;
    }
  }
}

// Puts a lane at the end of the last segment before c.segment + 1 that has steps; ends the course where none is left.
STATIC void enter_back(const Batch& b, const Adjoint& adjoint, Course& c, int lane, real* lambda, real* p, real* p_bar)
{
  const Plan& plan = b.plan;
  for (; c.segment >= 0; c.segment--) {
    load_parameters(b, c, lane, p);
    c.tried = b.accepted[c.place * plan.segments + c.segment];
    if (c.tried) return;
    leave(b, adjoint, c, lane, lambda, p_bar);
  }
  c.alive = false;
  double* start = adjoint.start + c.place * SPECIES;
  for (int n = 0; n < SPECIES; n++) start[n] = AT(lambda[n], lane);
  if (plan.rest_of[c.protocol] < 0) {
    real bar[PARAMETERS];
    for (int i = 0; i < PARAMETERS; i++) bar[i] = real_of(0.0);
    pull_initial(p, lambda, bar);
    c.segment = 0;
    add_parameters(b, c, lane, bar, adjoint.slots + c.place * plan.slots);
  }
}

STATIC void load_back(const Batch& b, const Adjoint& adjoint, Queue& queue, Course& c, int lane, real* lambda, real* p, real* p_bar)
{
  long item;
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
    for (int i = 0; i < PARAMETERS; i++) AT(p_bar[i], lane) = 0.0;
    enter_back(b, adjoint, c, lane, lambda, p, p_bar);
  }
}

// Cotangents of the outputs within a step, on the state at its start and on its stages.
STATIC bool take_outputs(const Batch& b, const Adjoint& adjoint, Course& c, int lane, double t, double h, real* direct, real* stage)
{
  const Plan& plan = b.plan;
  const double* at = plan.at + (long)c.protocol * plan.times;
  const int* segment = plan.segment + (long)c.protocol * plan.times;
  bool any = false;
  for (; c.output >= 0 && segment[c.output] == c.segment && at[c.output] > t; c.output--) {
    const double* cotangent = adjoint.cotangent + (c.place * plan.times + c.output) * SPECIES;
    double theta = (at[c.output] - t) / h;
    if (theta > 1.0) theta = 1.0;
    any = true;
    double weight[STAGES];
    for (int i = 0; i < STAGES; i++) weight[i] = dense(i, theta);
    for (int n = 0; n < SPECIES; n++) {
      if (cotangent[n] == 0.0) continue;
      AT(direct[n], lane) += cotangent[n];
      for (int i = 0; i < STAGES; i++) AT(stage[i * SPECIES + n], lane) += weight[i] * cotangent[n];
    }
  }
  return any;
}

STATIC void solve_back(const Batch& b, const Adjoint& adjoint, Queue& queue)
{
  real y[SPECIES], p[PARAMETERS], lambda[SPECIES], p_bar[PARAMETERS], direct[SPECIES], stage[STAGES * SPECIES];
  real t = real_of(0.0), h = real_of(1.0);
  Course course[LANES];
  for (int n = 0; n < SPECIES; n++) y[n] = real_of(1.0), lambda[n] = real_of(0.0), direct[n] = real_of(0.0);
  for (int i = 0; i < PARAMETERS; i++) p[i] = real_of(1.0), p_bar[i] = real_of(0.0);
  for (int i = 0; i < STAGES * SPECIES; i++) stage[i] = real_of(0.0);
  for (int l = 0; l < LANES; l++) {
    course[l].alive = false;
    load_back(b, adjoint, queue, course[l], l, lambda, p, p_bar);
  }
  for (;;) {
    bool any = false, outputs = false;
    for (int l = 0; l < LANES; l++) {
      Course& c = course[l];
      if (!c.alive) continue;
      any = true;
      const double* row = rows_of(b, c.item) + (long)(c.rows - 1) * ROW;
      AT(t, l) = row[0];
      AT(h, l) = row[1];
      for (int n = 0; n < SPECIES; n++) AT(y[n], l) = row[HEAD + n];
      outputs |= take_outputs(b, adjoint, c, l, row[0], row[1], direct, stage);
    }
    if (!any) return;
    step_back(y, p, h, outputs ? stage : (const real*)0, lambda, p_bar);
    if (outputs) {
      for (int n = 0; n < SPECIES; n++) lambda[n] += direct[n], direct[n] = real_of(0.0);
      for (int i = 0; i < STAGES * SPECIES; i++) stage[i] = real_of(0.0);
    }
    for (int l = 0; l < LANES; l++) {
      Course& c = course[l];
      if (!c.alive) continue;
      c.rows--;
      if (--c.tried) continue;
      leave(b, adjoint, c, l, lambda, p_bar);
      c.segment--;
      enter_back(b, adjoint, c, l, lambda, p, p_bar);
      if (!c.alive) load_back(b, adjoint, queue, c, l, lambda, p, p_bar);
    }
  }
}

// ------------------------------------------------------------------------------------------------------ steady states
// A start is integrated at loose tolerances until the unrest is below a threshold at the solve's own, then polished by
// Newton on the reduced system, in which conserved moieties' totals stand for dependent species, and a species that
// nothing changes keeps its start (`hexamer.models.steady_state`, whose criteria these are):
//   G(y; y0, p) = [ f_i(y, p) ;  L (w(p) o (y - y0)) ] = 0,    dy = -G_y^-1 (G_y0 dy0 + G_p dp)

STATIC void load_rest(const Batch& b, long item, int lane, real* y, real* p)
{
  const Plan& plan = b.plan;
  const int e = (int)(item / b.sets);
  const double* values = b.environment + (item % b.sets) * plan.slots;
  for (int i = 0; i < PARAMETERS; i++) AT(p[i], lane) = values[plan.rest_parameters[(long)e * PARAMETERS + i]];
  if (!y) return;
  real start[SPECIES];
  initial(p, start);
  for (int n = 0; n < SPECIES; n++) {
    const int set = plan.rest_set[(long)e * SPECIES + n];
    AT(y[n], lane) = set >= 0 ? values[set] : AT(start[n], lane);
  }
}

STATIC long rest_place(const Batch& b, long item)
{
  return (item % b.sets) * b.plan.equilibrations + item / b.sets;
}

// Largest |f_i| per unit of time, in units of the tolerance.
STATIC real unrest(const Plan& plan, const real* y, const real* p)
{
  real f[SPECIES], most = real_of(0.0);
  rates(y, p, f);
  const double rtol = plan.rtol < @STRICTEST@ ? plan.rtol : @STRICTEST@;
  for (int n = 0; n < SPECIES; n++) {
    if (n == TIME_STATE) continue;
    const real q = abs_(f[n]) / (plan.atol + rtol * abs_(y[n]));
    most = select_(q <= most, most, q);  // a NaN stays
  }
  return most;
}

struct Rest {
  long item;
  int tried;
  bool alive, fresh, refused_last;
};

STATIC void load_next_rest(const Batch& b, Queue& queue, Rest& r, int lane, real* y, real* p, real& t)
{
  r.alive = take(queue, &r.item);
  if (!r.alive) return;
  load_rest(b, r.item, lane, y, p);
  double* start = b.rest + (2 * rest_place(b, r.item) + 1) * SPECIES;
  for (int n = 0; n < SPECIES; n++) start[n] = AT(y[n], lane);
  AT(t, lane) = 0.0;
  r.tried = 0;
  r.fresh = true;
}

STATIC void end_rest(const Batch& b, Rest& r, int lane, const real* y, int status)
{
  const long where = rest_place(b, r.item);
  double* found = b.rest + 2 * where * SPECIES;
  for (int n = 0; n < SPECIES; n++) found[n] = AT(y[n], lane);
  if (TIME_STATE >= 0) found[TIME_STATE] = found[SPECIES + TIME_STATE];
  b.rest_status[where] = status;
  b.rest_steps[where] = r.tried;
  r.alive = false;
}

STATIC void find_rests(const Batch& b, Queue& queue)
{
  const Plan& plan = b.plan;
  const double rtol = plan.rtol > 1e-4 ? plan.rtol : 1e-4, atol = plan.atol > 1e-6 ? plan.atol : 1e-6;
  real y[SPECIES], p[PARAMETERS], y1[SPECIES], k[STAGES * SPECIES];
  real t = real_of(0.0), h = real_of(1.0), before = real_of(1.0);
  const real far = real_of(@HORIZON@);
  Rest rest[LANES];
  for (int n = 0; n < SPECIES; n++) y[n] = real_of(1.0);
  for (int i = 0; i < PARAMETERS; i++) p[i] = real_of(1.0);
  for (int l = 0; l < LANES; l++) load_next_rest(b, queue, rest[l], l, y, p, t);
  for (;;) {
    bool any = false, fresh = false;
    for (int l = 0; l < LANES; l++) {
      any |= rest[l].alive;
      fresh |= rest[l].alive && rest[l].fresh;
    }
    if (!any) return;
    if (fresh) {
      const real guess = first_step(y, p, rtol, atol, far);
      for (int l = 0; l < LANES; l++)
        if (rest[l].fresh) {
          rest[l].fresh = rest[l].refused_last = false;
          AT(before, l) = 1.0;
          AT(h, l) = AT(guess, l);
        }
    }
    const real step = select_(t + h >= far, far - t, h);
    const real error = attempt(y, p, step, rtol, atol, k, y1);
    const mask good = error <= 1.0;
    const real factor = growth(error, before);
    for (int n = 0; n < SPECIES; n++) y[n] = select_(good, y1[n], y[n]);
    t = select_(good, t + step, t);
    before = select_(good, select_(error < 1e-4, real_of(1e-4), error), before);
    const real left = unrest(plan, y, p);
    for (int l = 0; l < LANES; l++) {
      Rest& r = rest[l];
      if (!r.alive) continue;
      r.tried++;
      const bool went = AT(good, l) != 0;
      double grow = AT(factor, l);
      if (grow > 1.0 && (!went || r.refused_last)) grow = 1.0;
      if (!went && grow > 0.9) grow = 0.9;
      AT(h, l) = AT(step, l) * grow;
      r.refused_last = !went;
      if (went && AT(left, l) <= @THRESHOLD@) {
        end_rest(b, r, l, y, OK);
      } else if (grow <= 1.0 && !(AT(h, l) > 1e-12)) {
        end_rest(b, r, l, y, !(AT(error, l) < INFINITY) ? NOT_FINITE : STEP_TOO_SMALL);
      } else if (AT(t, l) >= @HORIZON@) {
        end_rest(b, r, l, y, NO_STEADY_STATE);
      } else if (r.tried >= plan.max_steps) {
        end_rest(b, r, l, y, TOO_MANY_STEPS);
      }
      if (!r.alive) load_next_rest(b, queue, r, l, y, p, t);
    }
  }
}

// Solves a x = b by Gaussian elimination with partial pivoting, in place; false where a is singular.
STATIC bool solve_dense(double* a, double* b)
{
  for (int k = 0; k < SPECIES; k++) {
    int pivot = k;
    for (int i = k + 1; i < SPECIES; i++)
      if (::fabs(a[i * SPECIES + k]) > ::fabs(a[pivot * SPECIES + k])) pivot = i;
    if (!(::fabs(a[pivot * SPECIES + k]) > 0.0)) return false;
    if (pivot != k) {
      for (int j = k; j < SPECIES; j++) {
        const double x = a[k * SPECIES + j];
        a[k * SPECIES + j] = a[pivot * SPECIES + j];
        a[pivot * SPECIES + j] = x;
      }
      const double x = b[k];
      b[k] = b[pivot];
      b[pivot] = x;
    }
    const double inverse = 1.0 / a[k * SPECIES + k];
    for (int i = k + 1; i < SPECIES; i++) {
      const double factor = a[i * SPECIES + k] * inverse;
      if (factor == 0.0) continue;
      for (int j = k + 1; j < SPECIES; j++) a[i * SPECIES + j] -= factor * a[k * SPECIES + j];
      b[i] -= factor * b[k];
    }
  }
  for (int k = SPECIES - 1; k >= 0; k--) {
    for (int j = k + 1; j < SPECIES; j++) b[k] -= a[k * SPECIES + j] * b[j];
    b[k] /= a[k * SPECIES + k];
  }
  return true;
}

// One lane's reduced matrix G_y, or its transpose, from the Jacobian's entries; which species are idle.
STATIC void reduced_matrix(const real* j, const real* weight, int lane, bool transposed, double* a, bool* idle)
{
  for (int i = 0; i < SPECIES * SPECIES; i++) a[i] = 0.0;
  for (int i = 0; i < SPECIES; i++) idle[i] = true;
  for (int e = 0; e < ENTRIES_USED; e++) {
    const int r = row_of(e), c = column_of(e);
    const double x = AT(j[e], lane);
    if (x != 0.0) idle[r] = false;
    a[transposed ? c * SPECIES + r : r * SPECIES + c] = x;
  }
  for (int i = 0; i < SPECIES; i++)
    if (idle[i]) a[i * SPECIES + i] = 1.0;
  for (int m = 0; m < MOIETIES; m++) {
    const int r = dependent(m);
    for (int c = 0; c < SPECIES; c++)
      a[transposed ? c * SPECIES + r : r * SPECIES + c] = moiety(m * SPECIES + c) * AT(weight[c], lane);
  }
}

STATIC void polish_rests(const Batch& b, Queue& queue)
{
  const Plan& plan = b.plan;
  for (;;) {
    real y[SPECIES], p[PARAMETERS], f[SPECIES], j[ENTRIES], weight[SPECIES], found[SPECIES];
    double start[LANES][SPECIES];
    long item[LANES];
    int count = 0;
    for (int n = 0; n < SPECIES; n++) y[n] = real_of(1.0);
    for (int i = 0; i < PARAMETERS; i++) p[i] = real_of(1.0);
    while (count < LANES && take(queue, &item[count])) {
      const long where = rest_place(b, item[count]);
      if (b.rest_status[where] != OK) continue;
      load_rest(b, item[count], count, (real*)0, p);
      for (int n = 0; n < SPECIES; n++) {
        AT(y[n], count) = b.rest[2 * where * SPECIES + n];
        start[count][n] = b.rest[(2 * where + 1) * SPECIES + n];
      }
      count++;
    }
    if (!count) return;
    for (int n = 0; n < SPECIES; n++) found[n] = y[n];
    weights(p, weight);
    bool moving[LANES];
    for (int l = 0; l < count; l++) moving[l] = true;
    for (int iteration = 0; iteration < @NEWTON@; iteration++) {
      bool any = false;
      for (int l = 0; l < count; l++) any |= moving[l];
      if (!any) break;
      rates(y, p, f);
      jacobian(y, p, j);
      for (int l = 0; l < count; l++) {
        if (!moving[l]) continue;
        double a[SPECIES * SPECIES], g[SPECIES];
        bool idle[SPECIES];
        reduced_matrix(j, weight, l, false, a, idle);
        for (int n = 0; n < SPECIES; n++) g[n] = idle[n] ? AT(y[n], l) - start[l][n] : AT(f[n], l);
        for (int m = 0; m < MOIETIES; m++) {
          double total = 0.0;
          for (int n = 0; n < SPECIES; n++)
            total += moiety(m * SPECIES + n) * AT(weight[n], l) * (AT(y[n], l) - start[l][n]);
          g[dependent(m)] = total;
        }
        bool converged = solve_dense(a, g);
        if (!converged) { moving[l] = false; continue; }
        for (int n = 0; n < SPECIES; n++) {
          AT(y[n], l) -= g[n];
          converged &= ::fabs(g[n]) <= 1e-13 * ::fabs(AT(y[n], l)) + 1e-6 * plan.atol;
        }
        moving[l] = !converged;
      }
    }
    const real left = unrest(plan, y, p);
    for (int l = 0; l < count; l++) {
      bool good = AT(left, l) <= @THRESHOLD@;
      for (int n = 0; n < SPECIES; n++) {
        const double x = AT(y[n], l), x0 = AT(found[n], l);
        good &= ::fabs(x - x0) <= 1e-2 * ::fabs(x0) + 1e3 * plan.atol;
        good &= x >= (x0 < 0.0 ? x0 : 0.0) - plan.atol;
      }
      if (!good) continue;
      const long where = rest_place(b, item[l]);
      for (int n = 0; n < SPECIES; n++) b.rest[2 * where * SPECIES + n] = AT(y[n], l);
    }
  }
}

STATIC void pull_rests(const Batch& b, const Adjoint& adjoint, Queue& queue)
{
  const Plan& plan = b.plan;
  for (;;) {
    real y[SPECIES], p[PARAMETERS], j[ENTRIES], weight[SPECIES];
    real u[SPECIES], ignored[SPECIES], p_bar[PARAMETERS], start_bar[SPECIES], weight_bar[SPECIES];
    long item[LANES];
    int count = 0;
    for (int n = 0; n < SPECIES; n++) {
      y[n] = real_of(1.0);
      u[n] = ignored[n] = start_bar[n] = weight_bar[n] = real_of(0.0);
    }
    for (int i = 0; i < PARAMETERS; i++) p[i] = real_of(1.0), p_bar[i] = real_of(0.0);
    while (count < LANES && take(queue, &item[count])) {
      const long where = rest_place(b, item[count]);
      double* slots = adjoint.rest_slots + where * plan.slots;
      for (int i = 0; i < plan.slots; i++) slots[i] = 0.0;
      if (b.rest_status[where] != OK) continue;
      load_rest(b, item[count], count, (real*)0, p);
      for (int n = 0; n < SPECIES; n++) AT(y[n], count) = b.rest[2 * where * SPECIES + n];
      count++;
    }
    if (!count) return;
    weights(p, weight);
    jacobian(y, p, j);
    for (int l = 0; l < count; l++) {
      const long set = item[l] % b.sets;
      const int e = (int)(item[l] / b.sets);
      const double* start = b.rest + (2 * rest_place(b, item[l]) + 1) * SPECIES;
      double a[SPECIES * SPECIES], x[SPECIES];
      bool idle[SPECIES];
      for (int n = 0; n < SPECIES; n++) x[n] = 0.0;
      for (int c = 0; c < plan.protocols; c++)
        if (plan.rest_of[c] == e)
          for (int n = 0; n < SPECIES; n++) x[n] += adjoint.start[(set * plan.protocols + c) * SPECIES + n];
      reduced_matrix(j, weight, l, true, a, idle);
      if (!solve_dense(a, x))
        for (int n = 0; n < SPECIES; n++) x[n] = NAN;
      for (int n = 0; n < SPECIES; n++) {
        AT(u[n], l) = idle[n] ? 0.0 : -x[n];
        if (idle[n]) AT(start_bar[n], l) += x[n];
      }
      for (int m = 0; m < MOIETIES; m++) {
        const int d = dependent(m);
        AT(u[d], l) = 0.0;
        if (idle[d]) AT(start_bar[d], l) -= x[d];
        for (int n = 0; n < SPECIES; n++) {
          AT(start_bar[n], l) += x[d] * moiety(m * SPECIES + n) * AT(weight[n], l);
          AT(weight_bar[n], l) -= x[d] * moiety(m * SPECIES + n) * (AT(y[n], l) - start[n]);
        }
      }
      double* slots = adjoint.rest_slots + rest_place(b, item[l]) * plan.slots;
      for (int n = 0; n < SPECIES; n++) {
        const int set_to = plan.rest_set[(long)e * SPECIES + n];
        if (set_to < 0) continue;
        slots[set_to] += AT(start_bar[n], l);
        AT(start_bar[n], l) = 0.0;
      }
    }
    pull_rates(y, p, u, ignored, p_bar);
    pull_weights(p, weight_bar, p_bar);
    pull_initial(p, start_bar, p_bar);
    for (int l = 0; l < count; l++) {
      const int e = (int)(item[l] / b.sets);
      double* slots = adjoint.rest_slots + rest_place(b, item[l]) * plan.slots;
      for (int i = 0; i < PARAMETERS; i++) slots[plan.rest_parameters[(long)e * PARAMETERS + i]] += AT(p_bar[i], l);
    }
  }
}
