// Items of a batch, which threads take in chunks from a count that they share.
#pragma once
#include "target.h"

struct Count {
  int64 next, total, chunk;
};

struct Queue {
  Count* count;        // where further items come from; 0: there are none but next to end
  int64 next, end;     // the items that this thread has taken
  const int64* list;   // numbers of the items that next counts, or 0
  const int64* where;  // items whose number here is below 0 are left out, or 0
};

// Takes the next chunk of items; false if none is left.
STATIC bool claim(Queue& queue)
{
  Count* count = queue.count;
  if (!count) return false;
#ifdef __CUDACC__
  const int64 first = (int64)atomicAdd((unsigned long long*)&count->next, (unsigned long long)count->chunk);
#else
  if (__atomic_load_n(&count->next, __ATOMIC_ACQUIRE) >= count->total) return false;
  const int64 first = __atomic_fetch_add(&count->next, count->chunk, __ATOMIC_ACQ_REL);
#endif
  if (first >= count->total) return false;  // another thread was first; the queue's own range stays as it is
  queue.next = first;
  queue.end = first + count->chunk < count->total ? first + count->chunk : count->total;
  return true;
}

STATIC bool take(Queue& queue, int64* item)
{
  for (;;) {
    if (queue.next == queue.end && !claim(queue)) return false;
    *item = queue.list ? queue.list[queue.next] : queue.next;
    queue.next++;
    if (!queue.where || queue.where[*item] >= 0) return true;
  }
}
