// The handlers that XLA calls on the CPU, without a Python lock on the way, and the threads they share work with.
// The structs are those of XLA's FFI (xla/ffi/api/c_api.h of the installed jaxlib), as far as they are used here.

struct Extension { size_t size; int type; Extension* next; };
struct ApiVersion { size_t size; Extension* extension; int major, minor; };
struct Api { size_t size; Extension* extension; ApiVersion version; const void* internal; void* (*functions[32])(void*); };
struct Buffer { size_t size; Extension* extension; int type; void* data; long long rank; long long* dims; };
struct Buffers { size_t size; Extension* extension; long long count; int* types; Buffer** at; };
struct Array { int type; size_t count; void* data; };
struct Attributes { size_t size; Extension* extension; long long count; int* types; void** names; Array** at; };
struct CallFrame {
  size_t size; Extension* extension; const Api* api; void* context; int stage; Buffers arguments, results; Attributes attributes;
};
struct Metadata { size_t size; ApiVersion version; unsigned traits; long long state_type; };
struct MetadataExtension { Extension base; Metadata* metadata; };
struct ScheduleArguments { size_t size; Extension* extension; void* context; void (*task)(void*); void* data; };

// Answers what a handler is asked at registration; true where that was the question.
STATIC bool asked_for_metadata(CallFrame* frame)
{
  Extension* extension = frame->extension;
  if (!extension || extension->type != 1) return frame->stage != 3;
  Metadata* metadata = ((MetadataExtension*)extension)->metadata;
  metadata->version.major = @API_MAJOR@;
  metadata->version.minor = @API_MINOR@;
  metadata->traits = 0;
  return true;
}

STATIC void release(Job* job)
{
  if (__atomic_sub_fetch(&job->references, 1, __ATOMIC_ACQ_REL) == 0) ::free(job);
}

// Works on what is left. `work` is touched only after a claim, since the caller may be gone without one left.
STATIC void help(void* data)
{
  Job* job = (Job*)data;
  __atomic_add_fetch(&job->active, 1, __ATOMIC_SEQ_CST);
  Queue queue = {job, 0, 0, false, 0};
  if (claim(job, &queue.next, &queue.end)) job->body(job->work, queue);
  __atomic_sub_fetch(&job->active, 1, __ATOMIC_SEQ_CST);
  release(job);
}

// Runs `body` over all items: here, and on up to threads - 1 threads of XLA's pool.
STATIC void share(CallFrame* frame, int threads, void (*body)(void*, Queue&), void* work, long total, long chunk)
{
  if (total <= 0) return;
  Job* job = (Job*)::malloc(sizeof(Job));
  const long helpers = (total + chunk - 1) / chunk < threads ? (total + chunk - 1) / chunk - 1 : threads - 1;
  *job = Job {body, work, 0, total, chunk, 0, (int)helpers + 1};
  for (long i = 0; i < helpers; i++) {
    ScheduleArguments arguments = {sizeof(ScheduleArguments), 0, frame->context, help, job};
    if (frame->api->functions[@SCHEDULE@](&arguments)) release(job);  // no pool: all is done here
  }
  Queue queue = {job, 0, 0, false, 0};
  if (claim(job, &queue.next, &queue.end)) body(work, queue);
  while (__atomic_load_n(&job->active, __ATOMIC_SEQ_CST)) PAUSE;
  release(job);
}

struct Call {
  Batch batch;
  Adjoint adjoint;
  bool repeat;  // some records did not fit
};

STATIC void run_rests(void* work, Queue& queue) { find_rests(((Call*)work)->batch, queue); }
STATIC void run_polish(void* work, Queue& queue) { polish_rests(((Call*)work)->batch, queue); }
STATIC void run_courses(void* work, Queue& queue) { solve_courses(((Call*)work)->batch, queue); }
STATIC void run_pull_rests(void* work, Queue& queue) { pull_rests(((Call*)work)->batch, ((Call*)work)->adjoint, queue); }

STATIC long rows_needed(const Batch& b, long item)
{
  long rows = 0;
  for (int s = 0; s < b.plan.segments; s++) rows += b.accepted[place(b, item) * b.plan.segments + s];
  return rows;
}

STATIC void run_back(void* work, Queue& queue)
{
  Call& call = *(Call*)work;
  if (!call.repeat) return solve_back(call.batch, call.adjoint, queue);
  // Chunk by chunk: solve again what was not recorded, then go back over it.
  do {
    Batch b = call.batch;
    const long first = queue.next, count = queue.end - queue.next;
    long* offset = (long*)::malloc(2 * count * sizeof(long));
    long *again = offset + count, size = 0, number = 0;
    for (long i = 0; i < count; i++) {
      const bool needed = b.status[place(b, first + i)] == OK && rows_needed(b, first + i) > b.capacity;
      offset[i] = needed ? size : -1;
      if (!needed) continue;
      size += rows_needed(b, first + i) * ROW;
      again[number++] = first + i;
    }
    double* rows = (double*)::malloc((size + 1) * sizeof(double));
    b.again = rows;
    b.offset = offset;
    b.first = first;
    if (number) {
      Batch quiet = b;
      quiet.y = 0;
      quiet.accepted = 0;
      quiet.capacity = 1L << 40;
      Queue list = {0, 0, number, true, again};
      solve_courses(quiet, list);
    }
    Queue chunk = {0, first, first + count, true, 0};
    solve_back(b, call.adjoint, chunk);
    ::free(rows);
    ::free(offset);
  } while (claim(queue.job, &queue.next, &queue.end));
}

STATIC void read_plan(const CallFrame* frame, Call& call, int* threads)
{
  const double* x = (const double*)frame->attributes.at[0]->data;
  const int* i = (const int*)frame->attributes.at[1]->data;
  Plan& plan = call.batch.plan;
  *threads = i[0];
  call.batch.capacity = i[1];
  plan.protocols = i[2];
  plan.segments = i[3];
  plan.times = i[4];
  plan.equilibrations = i[5];
  plan.slots = i[6];
  plan.max_steps = i[7];
  i += 8;
  const long courses = (long)plan.protocols * plan.segments;
  plan.rest_parameters = i; i += (long)plan.equilibrations * PARAMETERS;
  plan.rest_set = i; i += (long)plan.equilibrations * SPECIES;
  plan.rest_of = i; i += plan.protocols;
  plan.parameters = i; i += courses * PARAMETERS;
  plan.assign = i; i += courses * SPECIES;
  plan.add = i; i += courses * SPECIES;
  plan.segment = i;
  plan.rtol = x[0];
  plan.atol = x[1];
  plan.longest = x[2];
  x += 3;
  plan.start = x; x += courses;
  plan.stop = x; x += courses;
  plan.at = x;
}

STATIC long chunk_of(long total, int threads)
{
  const long share = total / (4L * threads);
  return share < 1 ? 1 : share > 8 * LANES ? 8 * LANES : share;
}

// (environment) -> y, status, steps, rejected, accepted, record, rest, rest_status
static void* forward(CallFrame* frame)
{
  if (asked_for_metadata(frame)) return 0;
  Call call;
  int threads;
  read_plan(frame, call, &threads);
  Batch& b = call.batch;
  Buffer** result = frame->results.at;
  b.environment = (const double*)frame->arguments.at[0]->data;
  b.sets = (long)frame->arguments.at[0]->dims[0];
  b.y = (double*)result[0]->data;
  b.status = (int*)result[1]->data;
  b.steps = (int*)result[2]->data;
  b.rejected = (int*)result[3]->data;
  b.accepted = (int*)result[4]->data;
  b.record = (double*)result[5]->data;
  b.rest = (double*)result[6]->data;
  b.rest_status = (int*)result[7]->data;
  b.again = 0;
  const long rests = b.sets * b.plan.equilibrations, total = b.sets * b.plan.protocols;
  b.rest_steps = (int*)::malloc((rests + 1) * sizeof(int));
  share(frame, threads, run_rests, &call, rests, chunk_of(rests, threads));
  share(frame, threads, run_polish, &call, rests, LANES);
  share(frame, threads, run_courses, &call, total, chunk_of(total, threads));
  ::free(b.rest_steps);
  return 0;
}

// (environment, status, accepted, record, rest, rest_status, cotangent of y) -> cotangent of the environment
static void* backward(CallFrame* frame)
{
  if (asked_for_metadata(frame)) return 0;
  Call call;
  int threads;
  read_plan(frame, call, &threads);
  Batch& b = call.batch;
  Adjoint& adjoint = call.adjoint;
  Buffer** argument = frame->arguments.at;
  b.environment = (const double*)argument[0]->data;
  b.sets = (long)argument[0]->dims[0];
  b.status = (int*)argument[1]->data;
  b.accepted = (int*)argument[2]->data;
  b.record = (double*)argument[3]->data;
  b.rest = (double*)argument[4]->data;
  b.rest_status = (int*)argument[5]->data;
  adjoint.cotangent = (const double*)argument[6]->data;
  double* out = (double*)frame->results.at[0]->data;
  b.y = 0;
  b.steps = b.rejected = b.rest_steps = 0;
  b.again = 0;
  const Plan& plan = b.plan;
  const long rests = b.sets * plan.equilibrations, total = b.sets * plan.protocols;
  double* memory = (double*)::malloc((total * (SPECIES + plan.slots) + rests * plan.slots + 1) * sizeof(double));
  adjoint.start = memory;
  adjoint.slots = adjoint.start + total * SPECIES;
  adjoint.rest_slots = adjoint.slots + total * plan.slots;
  call.repeat = false;
  for (long item = 0; item < total && !call.repeat; item++)
    call.repeat = b.status[place(b, item)] == OK && rows_needed(b, item) > b.capacity;
  share(frame, threads, run_back, &call, total, call.repeat && total > 8L * LANES * threads ? 8 * LANES : chunk_of(total, threads));
  share(frame, threads, run_pull_rests, &call, rests, LANES);
  for (long set = 0; set < b.sets; set++)
    for (int i = 0; i < plan.slots; i++) {
      double sum = 0.0;
      for (int c = 0; c < plan.protocols; c++) sum += adjoint.slots[(set * plan.protocols + c) * plan.slots + i];
      for (int e = 0; e < plan.equilibrations; e++) sum += adjoint.rest_slots[(set * plan.equilibrations + e) * plan.slots + i];
      out[set * plan.slots + i] = sum;
    }
  ::free(memory);
  return 0;
}
