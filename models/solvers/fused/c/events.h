// Events: which act at a moment, and what they make of a lane's state. A trigger is a Boolean over the switches, so an event acts
// where switches go at whose passing its trigger becomes true; `hexamer.models.compiled.events` has the rules.
//
// Before they act, the state is recorded in a row of its own, whose step is infinite: the adjoint pass begins there.
#pragma once
#include "batch.h"

struct Acting {
  bool at[EVENTS + 1];
#ifdef RANKED
  int order[EVENTS + 1];
#endif
};

// The event that comes at place i of those of a moment.
INLINE int event_at(const Acting& acting, int i)
{
#ifdef RANKED
  return acting.order[i];
#else
  return i;
#endif
}

// Beside the state: an item's parameters and, for each switch, 1 if it has gone at `moment`, else 0.
STATIC void arguments_after(const Batch& b, int64 set, const int* index, double moment, exact* p, exact* times)
{
  parameters_of(b, set, index, p);
  switch_times(p, times);
  for (int k = 0; k < SWITCHES; k++) p[PARAMETERS + k] = exact_of(AT(times[k], 0) <= moment ? 1.0 : 0.0);
}

// The events that act at `moment`; false if there are none. `first`: there the course starts.
STATIC bool find_acting(const Batch& b, int64 set, const int* index, double moment, bool first, Acting& acting)
{
  exact p[ARGUMENTS], times[SWITCHES + 1], before[EVENTS + 1], after[EVENTS + 1];
  arguments_of(b, set, index, moment, p, times);
  if (first) at_start(p, exact_of(moment), before); else triggers(p, before);
  arguments_after(b, set, index, moment, p, times);
  triggers(p, after);
  bool any = false;
  for (int e = 0; e < EVENTS; e++) {
    const bool was = AT(before[e], 0) > 0.5, is = AT(after[e], 0) > 0.5;
    acting.at[e] = first && was ? !initially_true(e) : !was && is;
    any |= acting.at[e];
  }
  return any;
}

// True if outputs at `moment` show the state before the events there: the triggers of all that act are false at that moment itself,
// where a switch that goes is 1/2, and true only later, as time > T is.
STATIC bool shows_before(const Batch& b, int64 set, const int* index, double moment, bool first)
{
#ifdef INSTANTS
  exact p[ARGUMENTS], times[SWITCHES + 1], now[EVENTS + 1];
  Acting acting;
  const bool any = find_acting(b, set, index, moment, first, acting);
  arguments_after(b, set, index, moment, p, times);
  for (int k = 0; k < SWITCHES; k++)
    if (AT(times[k], 0) == moment) p[PARAMETERS + k] = exact_of(0.5);
  if (first) at_start(p, exact_of(moment), now); else instants(p, now);
  for (int e = 0; e < EVENTS; e++)
    if (acting.at[e] && AT(now[e], 0) > 0.5) return false;
  return any;
#else
  return false;
#endif
}

// What the values of event e are computed from: `base`, the state before all events of the moment, or y, the one that those
// before it left; behind it always y.
STATIC void source_of(int e, const exact* base, const exact* y, exact* source)
{
  for (int n = 0; n < SPECIES; n++) {
    source[n] = before_all(e) ? base[n] : y[n];
    source[SPECIES + n] = y[n];
  }
}

// The order of the acting events: of those that are left, the first with the largest priority in the present state is next.
STATIC void rank(const exact* p, const exact* base, Acting& acting)
{
#ifdef RANKED
  exact y[SPECIES], source[2 * SPECIES], priority[EVENTS + 1];
  for (int n = 0; n < SPECIES; n++) y[n] = base[n];
  for (int e = 0; e < EVENTS; e++) acting.order[e] = e;
  for (int i = 0; i < EVENTS; i++) {
    int best = -1;
    priorities(y, p, priority);
    for (int j = i; j < EVENTS; j++)
      if (acting.at[acting.order[j]] && (best < 0 || AT(priority[acting.order[j]], 0) > AT(priority[acting.order[best]], 0))) best = j;
    if (best < 0) return;
    const int e = acting.order[best];
    for (int j = best; j > i; j--) acting.order[j] = acting.order[j - 1];
    acting.order[i] = e;
    source_of(e, base, y, source);
    set_by(e, source, p, y);
  }
#endif
}

// The state after the acting events in places below `count`, from `base`, the state before all of them.
STATIC void act(const exact* p, const Acting& acting, int count, const exact* base, exact* y)
{
  exact source[2 * SPECIES];
  for (int n = 0; n < SPECIES; n++) y[n] = base[n];
  for (int i = 0; i < count; i++) {
    const int e = event_at(acting, i);
    if (!acting.at[e]) continue;
    source_of(e, base, y, source);
    set_by(e, source, p, y);
  }
}

// The switch at whose passing each event's trigger became true, of those that go at `moment`, one after the other; below 0: none.
STATIC void find_owners(const Batch& b, int64 set, const int* index, double moment, int* owner)
{
  exact p[ARGUMENTS], times[SWITCHES + 1], held[EVENTS + 1], holds[EVENTS + 1];
  arguments_of(b, set, index, moment, p, times);
  triggers(p, held);
  for (int e = 0; e < EVENTS; e++) owner[e] = -1;
  for (int k = 0; k < SWITCHES; k++) {
    if (AT(times[k], 0) != moment) continue;
    p[PARAMETERS + k] = exact_of(1.0);
    triggers(p, holds);
    for (int e = 0; e < EVENTS; e++) {
      if (AT(holds[e], 0) > 0.5 && !(AT(held[e], 0) > 0.5)) owner[e] = k;
      held[e] = holds[e];
    }
  }
}
