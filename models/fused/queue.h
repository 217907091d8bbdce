// Work shared between threads: a job is a count of items, taken in chunks.

struct Job;

struct Queue {
  Job* job;
  long next, end;
  bool one_chunk;    // ends with the chunk in hand
  const long* list;  // item numbers that next counts in, or none
};

struct Job {
  void (*body)(void* work, Queue& queue);
  void* work;
  long next, total, chunk;
  int active, references;
};

#ifdef __CUDACC__
STATIC bool claim(Job*, long*, long*) { return false; }  // a thread has its one trajectory
#else
STATIC bool claim(Job* job, long* begin, long* end)
{
  if (__atomic_load_n(&job->next, __ATOMIC_ACQUIRE) >= job->total) return false;
  const long first = __atomic_fetch_add(&job->next, job->chunk, __ATOMIC_ACQ_REL);
  if (first >= job->total) return false;  // another thread was first; the queue's own range stays as it is
  *begin = first;
  *end = first + job->chunk < job->total ? first + job->chunk : job->total;
  return true;
}
#endif

STATIC bool take(Queue& queue, long* item)
{
  if (queue.next == queue.end && (queue.one_chunk || !claim(queue.job, &queue.next, &queue.end))) return false;
  *item = queue.list ? queue.list[queue.next] : queue.next;
  queue.next++;
  return true;
}
