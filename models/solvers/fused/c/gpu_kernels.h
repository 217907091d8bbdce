// The kernels of a GPU. Each is one launch: the next needs the results of all threads of the one before.
//
// Courses wait in a queue. Only as many threads run as have room for the data of a step in the cache of their multiprocessor.
// Each takes the next course when it has finished one, so none waits for a slower neighbour. In the other kernels each thread
// has one item.
#pragma once
#include "engine.h"

STATIC Queue only(int64 item)
{
  Queue queue = {0, item, item + 1, 0, 0};
  return queue;
}

// The queue of all items with where[item] >= 0. `count`: three numbers in the card's memory, as in `Count`.
STATIC Queue shared(int64* count, const int64* where)
{
  Queue queue = {(Count*)count, 0, 0, 0, where};
  return queue;
}

STATIC Batch batch_of(
    const int* integers, int64 integers_count, const double* floats, int64 floats_count, const double* environment, int64 sets)
{
  Batch b;
  if (!read_plan(integers, integers_count, floats, floats_count, b.plan)) STOP;
  b.sets = sets;
  b.environment = environment;
  b.y = b.record = b.steady = b.again = 0;
  b.status = b.steps = b.rejected = b.accepted = b.steady_status = b.steady_steps = 0;
  b.capacity = b.first = 0;
  b.offset = b.room = 0;
  return b;
}

// An item is a pre-equilibration of a set.
STATIC void gpu_steady(Batch b, double* steady, int* steady_status, int* steady_steps, int64 item)
{
  b.steady = steady;
  b.steady_status = steady_status;
  b.steady_steps = steady_steps;
  Queue queue = only(item);
  find_steady_states(b, queue);
  queue = only(item);
  polish_steady_states(b, queue);
}

// An item is a protocol of a set. Its first steps, as many as there is room for, go to rows[where[item]]; if that is below 0, the
// course is left out. Without y the kernel solves courses again for their steps alone: the same code takes the same steps.
STATIC void gpu_course(
    Batch b, const double* steady, const int* steady_status, const int* steady_steps, const int64* where, const int64* room,
    int64* count, double* y, int* status, int* steps, int* rejected, int* accepted, double* rows)
{
  b.steady = (double*)steady;
  b.steady_status = (int*)steady_status;
  b.steady_steps = (int*)steady_steps;
  b.y = y;
  b.status = status;
  b.steps = steps;
  b.rejected = rejected;
  b.accepted = y ? accepted : 0;
  b.again = rows;
  b.offset = where;
  b.room = room;
  Queue queue = shared(count, where);
  solve_courses(b, queue);
}

// The adjoint pass over courses whose steps are recorded at rows[where[item]].
STATIC void gpu_course_adjoint(
    Batch b, const int* status, const int* accepted, const int64* where, const double* rows, const double* cotangent,
    int64* count, double* start, double* slots)
{
  b.status = (int*)status;
  b.accepted = (int*)accepted;
  b.again = (double*)rows;
  b.offset = where;
  const Adjoint adjoint = {cotangent, start, slots, 0};
  Queue queue = shared(count, where);
  solve_adjoint(b, adjoint, queue);
}

STATIC void gpu_steady_adjoint(
    Batch b, const double* steady, const int* steady_status, const double* start, double* steady_slots, int64 item)
{
  b.steady = (double*)steady;
  b.steady_status = (int*)steady_status;
  const Adjoint adjoint = {0, (double*)start, 0, steady_slots};
  Queue queue = only(item);
  pull_steady_states(b, adjoint, queue);
}

// The cotangent of one slot of one set's environment: the sum over protocols, then pre-equilibrations, always in this order.
STATIC void gpu_slot(const Batch& b, const double* slots, const double* steady_slots, double* out, int64 item)
{
  const int64 set = item / b.plan.slots;
  const int i = (int)(item % b.plan.slots);
  double sum = 0.0;
  for (int c = 0; c < b.plan.protocols; c++) sum += slots[(set * b.plan.protocols + c) * b.plan.slots + i];
  for (int e = 0; e < b.plan.equilibrations; e++) sum += steady_slots[(set * b.plan.equilibrations + e) * b.plan.slots + i];
  out[item] = sum;
}
