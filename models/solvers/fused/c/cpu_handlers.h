// The engine's handlers on the CPU.
#pragma once
#include "engine.h"
#include "xla.h"

struct Call {
  Batch batch;
  Adjoint adjoint;
  bool repeat;  // some steps were not recorded
  int full;     // 1: there was no memory to solve their courses again
};

// What a handler answers if the machine has no memory for it.
STATIC void* out_of_memory(const CallFrame* frame)
{
  return error(frame, RESOURCE_EXHAUSTED,
               "hexamer: the machine has no memory left for a batch of trajectories: solve fewer at a time, or keep less of "
               "each (memory and record of Settings)");
}

STATIC void run_search(void* work, Queue& queue) { find_steady_states(((Call*)work)->batch, queue); }
STATIC void run_polish(void* work, Queue& queue) { polish_steady_states(((Call*)work)->batch, queue); }
STATIC void run_courses(void* work, Queue& queue) { solve_courses(((Call*)work)->batch, queue); }
STATIC void run_steady_adjoint(void* work, Queue& queue)
{
  pull_steady_states(((Call*)work)->batch, ((Call*)work)->adjoint, queue);
}


STATIC int64 rows_needed(const Batch& b, int64 item)
{
  int64 rows = 0;
  for (int s = 0; s < b.plan.segments; s++) rows += b.accepted[place(b, item) * b.plan.segments + s];
  return rows;
}

// True if all steps of a course lie in the record. Zeros stand for those that were not recorded.
STATIC bool recorded(const Batch& b, int64 item)
{
  const int64 rows = rows_needed(b, item);
  return rows == 0 || (rows <= b.capacity && b.record[place(b, item) * b.capacity * ROW + RECORD_STEP] > 0.0);
}

// If memory is short: takes all items that are left and does nothing with them. A thread that took some later would work on
// a call that has ended.
STATIC void give_up(Call& call, Queue& queue)
{
  __atomic_store_n(&call.full, 1, __ATOMIC_SEQ_CST);
  while (claim(queue)) {}
}

STATIC void run_adjoint(void* work, Queue& queue)
{
  Call& call = *(Call*)work;
  if (!call.repeat) return solve_adjoint(call.batch, call.adjoint, queue);
  // Chunk by chunk: solves again what was not recorded, then runs the adjoint pass over it.
  do {
    Batch b = call.batch;
    const int64 first = queue.next, count = queue.end - queue.next;
    int64* offset = (int64*)::malloc(3 * count * sizeof(int64));
    if (!offset) return give_up(call, queue);
    int64 *again = offset + count, *room = again + count, size = 0, number = 0;
    for (int64 i = 0; i < count; i++) {
      const bool needed = b.status[place(b, first + i)] == OK && !recorded(b, first + i);
      offset[i] = needed ? size : -1;
      room[i] = needed ? rows_needed(b, first + i) : b.capacity;
      if (!needed) continue;
      size += room[i] * ROW;
      again[number++] = first + i;
    }
    double* rows = (double*)::calloc(size + 1, sizeof(double));
    if (!rows) {
      ::free(offset);
      return give_up(call, queue);
    }
    b.again = rows;
    b.offset = offset;
    b.room = room;
    b.first = first;
    if (number) {
      Batch quiet = b;
      quiet.y = 0;
      quiet.accepted = 0;
      Queue list = {0, 0, number, again, 0};
      solve_courses(quiet, list);
    }
    Queue chunk = {0, first, first + count, 0, 0};
    solve_adjoint(b, call.adjoint, chunk);
    ::free(rows);
    ::free(offset);
  } while (claim(queue));
}

// The attributes, in the order of their names: the plan's floats, its integers, and the limits of the call. False if they do
// not have the lengths that the contract says.
STATIC bool read_attributes(const CallFrame* frame, Call& call, int* threads)
{
  const Array *floats = frame->attributes.at[0], *integers = frame->attributes.at[1], *numbers = frame->attributes.at[2];
  Limits limits;
  if (!read_limits((const int*)numbers->data, (int64)numbers->count, limits)) return false;
  *threads = limits.threads;
  call.batch.capacity = limits.capacity;
  return read_plan(
      (const int*)integers->data, (int64)integers->count, (const double*)floats->data, (int64)floats->count, call.batch.plan);
}

// (environment) -> y, status, steps, rejected, accepted, record, steady, steady_status
static void* forward(CallFrame* frame)
{
  if (asked_for_metadata(frame)) return 0;
  Call call;
  int threads;
  if (!read_attributes(frame, call, &threads)) return other_layout(frame);
  Batch& b = call.batch;
  Buffer** result = frame->results.at;
  b.environment = (const double*)frame->arguments.at[0]->data;
  b.sets = (int64)frame->arguments.at[0]->dims[0];
  b.y = (double*)result[0]->data;
  b.status = (int*)result[1]->data;
  b.steps = (int*)result[2]->data;
  b.rejected = (int*)result[3]->data;
  b.accepted = (int*)result[4]->data;
  b.record = (double*)result[5]->data;
  b.steady = (double*)result[6]->data;
  b.steady_status = (int*)result[7]->data;
  b.again = 0;
  const int64 equilibrations = b.sets * b.plan.equilibrations, total = b.sets * b.plan.protocols;
  b.steady_steps = (int*)::malloc((equilibrations + 1) * sizeof(int));
  if (!b.steady_steps) return out_of_memory(frame);
  share(frame, threads, run_search, &call, equilibrations, chunk_of(equilibrations, threads));
  share(frame, threads, run_polish, &call, equilibrations, LANES);
  share(frame, threads, run_courses, &call, total, chunk_of(total, threads));
  ::free(b.steady_steps);
  return 0;
}

// (environment, status, accepted, record, steady, steady_status, cotangent of y) -> cotangent of the environment
static void* backward(CallFrame* frame)
{
  if (asked_for_metadata(frame)) return 0;
  Call call;
  int threads;
  if (!read_attributes(frame, call, &threads)) return other_layout(frame);
  Batch& b = call.batch;
  Adjoint& adjoint = call.adjoint;
  Buffer** argument = frame->arguments.at;
  b.environment = (const double*)argument[0]->data;
  b.sets = (int64)argument[0]->dims[0];
  b.status = (int*)argument[1]->data;
  b.accepted = (int*)argument[2]->data;
  b.record = (double*)argument[3]->data;
  b.steady = (double*)argument[4]->data;
  b.steady_status = (int*)argument[5]->data;
  adjoint.cotangent = (const double*)argument[6]->data;
  double* out = (double*)frame->results.at[0]->data;
  b.y = 0;
  b.steps = b.rejected = b.steady_steps = 0;
  b.again = 0;
  const Plan& plan = b.plan;
  const int64 equilibrations = b.sets * plan.equilibrations, total = b.sets * plan.protocols;
  double* memory = (double*)::malloc((total * (SPECIES + plan.slots) + equilibrations * plan.slots + 1) * sizeof(double));
  if (!memory) return out_of_memory(frame);
  adjoint.start = memory;
  adjoint.slots = adjoint.start + total * SPECIES;
  adjoint.steady_slots = adjoint.slots + total * plan.slots;
  call.repeat = false;
  call.full = 0;
  for (int64 item = 0; item < total && !call.repeat; item++)
    call.repeat = b.status[place(b, item)] == OK && !recorded(b, item);
  const bool piecewise = call.repeat && total > 8 * LANES * (int64)threads;
  share(frame, threads, run_adjoint, &call, total, piecewise ? 8 * LANES : chunk_of(total, threads));
  if (__atomic_load_n(&call.full, __ATOMIC_SEQ_CST)) {
    ::free(memory);
    return out_of_memory(frame);
  }
  share(frame, threads, run_steady_adjoint, &call, equilibrations, LANES);
  for (int64 set = 0; set < b.sets; set++)
    for (int i = 0; i < plan.slots; i++) {
      double sum = 0.0;
      for (int c = 0; c < plan.protocols; c++) sum += adjoint.slots[(set * plan.protocols + c) * plan.slots + i];
      for (int e = 0; e < plan.equilibrations; e++) sum += adjoint.steady_slots[(set * plan.equilibrations + e) * plan.slots + i];
      out[set * plan.slots + i] = sum;
    }
  ::free(memory);
  return 0;
}
