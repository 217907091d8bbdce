// The kernels of a GPU. Each is a launch of its own where the whole grid must have ended.
//
// Courses wait in a queue. Only so many threads run that what their steps work on stays in the cache of their
// multiprocessor; each takes the next course when it has ended one, so that none waits for a slower neighbour. In the other
// kernels each thread has one item.
#pragma once
#include "steady.h"

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
  b.y = b.record = b.rest = b.again = 0;
  b.status = b.steps = b.rejected = b.accepted = b.rest_status = b.rest_steps = 0;
  b.capacity = b.first = 0;
  b.offset = b.room = 0;
  return b;
}

// An item is a pre-equilibration of a set.
STATIC void gpu_rest(Batch b, double* rest, int* rest_status, int* rest_steps, int64 item)
{
  b.rest = rest;
  b.rest_status = rest_status;
  b.rest_steps = rest_steps;
  Queue queue = only(item);
  find_rests(b, queue);
  queue = only(item);
  polish_rests(b, queue);
}

// An item is a protocol of a set. Its first steps, as many as there is room for, go to rows[where[item]]; below 0 there the
// course is left out. To solve a course again without its other results is the same kernel, with no y, so that the same
// code takes the same steps.
STATIC void gpu_course(
    Batch b, const double* rest, const int* rest_status, const int* rest_steps, const int64* where, const int64* room,
    int64* count, double* y, int* status, int* steps, int* rejected, int* accepted, double* rows)
{
  b.rest = (double*)rest;
  b.rest_status = (int*)rest_status;
  b.rest_steps = (int*)rest_steps;
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

// Goes back over courses whose steps are recorded at rows[where[item]].
STATIC void gpu_course_back(
    Batch b, const int* status, const int* accepted, const int64* where, const double* rows, const double* cotangent,
    int64* count, double* start, double* slots)
{
  b.status = (int*)status;
  b.accepted = (int*)accepted;
  b.again = (double*)rows;
  b.offset = where;
  const Adjoint adjoint = {cotangent, start, slots, 0};
  Queue queue = shared(count, where);
  solve_back(b, adjoint, queue);
}

STATIC void gpu_rest_back(
    Batch b, const double* rest, const int* rest_status, const double* start, double* rest_slots, int64 item)
{
  b.rest = (double*)rest;
  b.rest_status = (int*)rest_status;
  const Adjoint adjoint = {0, (double*)start, 0, rest_slots};
  Queue queue = only(item);
  pull_rests(b, adjoint, queue);
}

// One slot of one set's environment: over protocols, then pre-equilibrations, always in this order.
STATIC void gpu_slot(const Batch& b, const double* slots, const double* rest_slots, double* out, int64 item)
{
  const int64 set = item / b.plan.slots;
  const int i = (int)(item % b.plan.slots);
  double sum = 0.0;
  for (int c = 0; c < b.plan.protocols; c++) sum += slots[(set * b.plan.protocols + c) * b.plan.slots + i];
  for (int e = 0; e < b.plan.equilibrations; e++) sum += rest_slots[(set * b.plan.equilibrations + e) * b.plan.slots + i];
  out[item] = sum;
}
