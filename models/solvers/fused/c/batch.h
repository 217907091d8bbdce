// The arrays of a batch of trajectories, and what is read from its environments.
#pragma once
#include "contract.h"
#include "model.h"
#include "precision.h"

// A batch: `sets` environments, each under all protocols. Item = protocol * sets + set.
struct Batch {
  Plan plan;
  int64 sets;
  const double* environment;           // sets x slots
  double* y;                           // sets x protocols x times x species
  int *status, *steps, *rejected;      // sets x protocols
  int* accepted;                       // sets x protocols x segments
  double* record;                      // sets x protocols x capacity x ROW
  int64 capacity;
  double* steady;                      // sets x equilibrations x STEADY_ROWS x species
  int *steady_status, *steady_steps;   // sets x equilibrations
  // A second forward pass over items whose record did not fit: the rows of item `first + i` lie at again[offset[i]], and
  // there is room for room[i] of them.
  double* again;
  const int64 *offset, *room;
  int64 first;
};

STATIC int64 place(const Batch& b, int64 item)
{
  return (item % b.sets) * b.plan.protocols + item / b.sets;
}

// The recorded steps of an item.
STATIC double* rows_of(const Batch& b, int64 item)
{
  if (b.again && b.offset[item - b.first] >= 0) return b.again + b.offset[item - b.first];
  return b.record + place(b, item) * b.capacity * ROW;
}

// A row of a pre-equilibration: STEADY_STATE, STEADY_START or STEADY_SCALE.
INLINE double* steady_row(const Batch& b, int64 where, int row) { return b.steady + (STEADY_ROWS * where + row) * SPECIES; }

// Errors that a step may have, of each lane's trajectory, and the scales that the absolute ones follow.
struct Tolerances {
  real rtol, atol[SPECIES], scale[SPECIES];
};

// The relative and the absolute tolerance of a set: the last entries of its environment.
STATIC const double* tolerances_of(const Batch& b, int64 set)
{
  return b.environment + (set + 1) * b.plan.slots - TOLERANCES;
}

// False if the tolerances of a set are invalid. They may be traced values, so Python cannot check them.
STATIC bool load_tolerances(const Batch& b, int64 set, int lane, Tolerances& tolerance)
{
  const double rtol = tolerances_of(b, set)[SET_RTOL], atol = tolerances_of(b, set)[SET_ATOL];
  AT(tolerance.rtol, lane) = rtol;
  for (int n = 0; n < SPECIES; n++) AT(tolerance.atol[n], lane) = atol, AT(tolerance.scale[n], lane) = 0.0;
  return rtol >= LEAST_RTOL && atol >= LEAST_ATOL && rtol > 0.0 && rtol < 1.0 && atol > 0.0 && atol < INFINITY;
}

// The parameters of one item, in all lanes.
STATIC void parameters_of(const Batch& b, int64 set, const int* index, exact* p)
{
  const double* values = b.environment + set * b.plan.slots;
  for (int i = 0; i < PARAMETERS; i++) p[i] = exact_of(values[index[i]]);
}

// What rates depend on beside the state, in all lanes: an item's parameters and, for each switch, 1 if it switched before
// `moment`, else 0. `times` gets the moments of the switches.
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
