// Observables: groups of rows, each with its formula over columns of numbers that lie in one pool. Values are a mean and a
// standard deviation. A row whose trajectory failed reads NaN and contributes nothing to the gradient.
#pragma once
#include "formulas.h"
#include "table.h"
#include "xla.h"

struct Reading {
  Table table;
  const double* pool;           // sets x pool
  const int* status;            // sets x protocols, 0: solved
  double *mean, *sd;            // sets x rows
  const double *mean_bar, *sd_bar;
  double* pool_bar;
};

// Reads the rows of a set, LANES at a time; lanes without a row repeat the first one.
STATIC void read_rows(const Reading& r, int64 set)
{
  const Table& t = r.table;
  const double* pool = r.pool + set * t.pool;
  const int *protocol = t.protocol, *place = t.place, *index = t.index, *status = r.status + set * t.protocols;
  for (int g = 0; g < GROUPS; g++) {
    const int count = t.count[g], columns = columns_of(g);
    for (int first = 0; first < count; first += LANES) {
      const int lanes = count - first < LANES ? count - first : LANES;
      real x[COLUMNS], value[2];
      for (int c = 0; c < columns; c++)
        for (int l = 0; l < LANES; l++) AT(x[c], l) = pool[index[c * count + first + (l < lanes ? l : 0)]];
      if (r.pool_bar) {
        real u[2], x_bar[COLUMNS];
        double* pool_bar = r.pool_bar + set * t.pool;
        for (int l = 0; l < LANES; l++) {
          const int row = first + (l < lanes ? l : 0);
          AT(u[0], l) = r.mean_bar[set * t.rows + place[row]];
          AT(u[1], l) = r.sd_bar[set * t.rows + place[row]];
        }
        for (int c = 0; c < columns; c++) x_bar[c] = real_of(0.0);
        pull_formula(g, x, u, x_bar);
        for (int l = 0; l < lanes; l++)
          if (status[protocol[first + l]] == 0)
            for (int c = 0; c < columns; c++) pool_bar[index[c * count + first + l]] += AT(x_bar[c], l);
      } else {
        formula(g, x, value);
        for (int l = 0; l < lanes; l++) {
          const int64 out = set * t.rows + place[first + l];
          const bool good = status[protocol[first + l]] == 0;
          r.mean[out] = good ? AT(value[0], l) : NAN;
          r.sd[out] = good ? AT(value[1], l) : NAN;
        }
      }
    }
    protocol += count;
    place += count;
    index += (int64)columns * count;
  }
}

STATIC void run_rows(void* work, Queue& queue)
{
  const Reading& r = *(const Reading*)work;
  int64 set;
  while (take(queue, &set)) {
    if (r.pool_bar)
      for (int i = 0; i < r.table.pool; i++) r.pool_bar[set * r.table.pool + i] = 0.0;
    read_rows(r, set);
  }
}

STATIC void* read_all(CallFrame* frame, Reading& r)
{
  const Array* integers = frame->attributes.at[0];
  const Array* numbers = frame->attributes.at[1];
  Limits limits;
  if (!read_table((const int*)integers->data, (int64)integers->count, r.table) ||
      !read_limits((const int*)numbers->data, (int64)numbers->count, limits))
    return other_layout(frame);
  const Buffer* pool = frame->arguments.at[0];
  r.pool = (const double*)pool->data;
  r.status = (const int*)frame->arguments.at[1]->data;
  const int64 sets = (int64)pool->dims[0];
  share(frame, limits.threads, run_rows, &r, sets, chunk_of(sets, limits.threads));
  return 0;
}

// (pool, status) -> mean, standard deviation
static void* forward(CallFrame* frame)
{
  if (asked_for_metadata(frame)) return 0;
  Reading r = {};
  r.mean = (double*)frame->results.at[0]->data;
  r.sd = (double*)frame->results.at[1]->data;
  return read_all(frame, r);
}

// (pool, status, cotangents of mean and standard deviation) -> cotangent of the pool
static void* backward(CallFrame* frame)
{
  if (asked_for_metadata(frame)) return 0;
  Reading r = {};
  r.mean_bar = (const double*)frame->arguments.at[2]->data;
  r.sd_bar = (const double*)frame->arguments.at[3]->data;
  r.pool_bar = (double*)frame->results.at[0]->data;
  return read_all(frame, r);
}
