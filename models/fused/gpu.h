// The kernels of a GPU: a thread has one item. Each is a launch of its own where the whole grid must have ended.

STATIC Queue only(long item)
{
  Queue queue = {0, item, item + 1, true, 0};
  return queue;
}

STATIC Batch batch_of(const int* integers, const double* floats, const double* environment, long sets)
{
  Batch b;
  read_plan(integers, floats, b.plan);
  b.sets = sets;
  b.environment = environment;
  b.y = b.record = b.rest = b.again = 0;
  b.status = b.steps = b.rejected = b.accepted = b.rest_status = b.rest_steps = 0;
  b.capacity = b.first = 0;
  b.offset = b.room = 0;
  return b;
}

// An item is a pre-equilibration of a set.
STATIC void gpu_rest(Batch b, double* rest, int* rest_status, int* rest_steps, long item)
{
  b.rest = rest;
  b.rest_status = rest_status;
  b.rest_steps = rest_steps;
  Queue queue = only(item);
  find_rests(b, queue);
  queue = only(item);
  polish_rests(b, queue);
}

// An item is a protocol of a set. Its first steps, as many as there is room for, go to rows[where[place]]; below 0 there
// the course is left out. To solve a course again without its other results is the same kernel, with no y, so that
// the same code takes the same steps.
STATIC void gpu_course(
    Batch b, const double* rest, const int* rest_status, const int* rest_steps, const long* where, const long* room,
    double* y, int* status, int* steps, int* rejected, int* accepted, double* rows, long item)
{
  const long* offset = where + place(b, item);
  if (*offset < 0) return;
  b.rest = (double*)rest;
  b.rest_status = (int*)rest_status;
  b.rest_steps = (int*)rest_steps;
  b.y = y;
  b.status = status;
  b.steps = steps;
  b.rejected = rejected;
  b.accepted = y ? accepted : 0;
  b.again = rows;
  b.offset = offset;
  b.first = item;
  b.room = room + place(b, item);
  Queue queue = only(item);
  solve_courses(b, queue);
}

// Goes back over a course whose steps are recorded at rows[where[place]].
STATIC void gpu_course_back(
    Batch b, const int* status, const int* accepted, const long* where, const double* rows, const double* cotangent,
    double* start, double* slots, long item)
{
  const long* offset = where + place(b, item);
  if (*offset < 0) return;
  b.status = (int*)status;
  b.accepted = (int*)accepted;
  b.again = (double*)rows;
  b.offset = offset;
  b.first = item;
  const Adjoint adjoint = {cotangent, start, slots, 0};
  Queue queue = only(item);
  solve_back(b, adjoint, queue);
}

STATIC void gpu_rest_back(
    Batch b, const double* rest, const int* rest_status, const double* start, double* rest_slots, long item)
{
  b.rest = (double*)rest;
  b.rest_status = (int*)rest_status;
  const Adjoint adjoint = {0, (double*)start, 0, rest_slots};
  Queue queue = only(item);
  pull_rests(b, adjoint, queue);
}

// One slot of one set's environment: over protocols, then pre-equilibrations, always in this order.
STATIC void gpu_slot(const Batch& b, const double* slots, const double* rest_slots, double* out, long item)
{
  const long set = item / b.plan.slots;
  const int i = (int)(item % b.plan.slots);
  double sum = 0.0;
  for (int c = 0; c < b.plan.protocols; c++) sum += slots[(set * b.plan.protocols + c) * b.plan.slots + i];
  for (int e = 0; e < b.plan.equilibrations; e++) sum += rest_slots[(set * b.plan.equilibrations + e) * b.plan.slots + i];
  out[item] = sum;
}
