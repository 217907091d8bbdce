// What handlers need that XLA calls on the CPU: its structs, and its threads. They never hold Python's lock.
// The structs are those of XLA's FFI (xla/ffi/api/c_api.h of the installed jaxlib), as far as they are used here.
#pragma once
#include <stdlib.h>
#include "lanes.h"
#include "limits.h"
#include "queue.h"
#include "xla_api.h"

#if defined(__x86_64__) || defined(_M_X64)
#define PAUSE __builtin_ia32_pause()
#else
#define PAUSE ((void)0)
#endif

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
struct ErrorArguments { size_t size; Extension* extension; const char* message; int code; };
struct ScheduleArguments { size_t size; Extension* extension; void* context; void (*task)(void*); void* data; };

// Answers the question that a handler is asked at registration; true if that was asked.
STATIC bool asked_for_metadata(CallFrame* frame)
{
  Extension* extension = frame->extension;
  if (!extension || extension->type != 1) return frame->stage != 3;
  Metadata* metadata = ((MetadataExtension*)extension)->metadata;
  metadata->version.major = API_MAJOR;
  metadata->version.minor = API_MINOR;
  metadata->traits = 0;
  return true;
}

enum ErrorCode { RESOURCE_EXHAUSTED = 8, INTERNAL = 13 };  // as XLA_FFI_Error_Code has them

// What a handler answers if it fails: JAX raises it as an error of Python.
STATIC void* error(const CallFrame* frame, ErrorCode code, const char* message)
{
  ErrorArguments arguments = {sizeof(ErrorArguments), 0, message, code};
  return frame->api->functions[CREATE_ERROR](&arguments);
}

STATIC void* other_layout(const CallFrame* frame)
{
  return error(frame, INTERNAL,
               "hexamer: the numbers of a call do not have the lengths that its layout asks for: this is a fault of hexamer");
}

// Work that threads share. It lives until the last of them has finished.
struct Job {
  void (*body)(void* work, Queue& queue);
  void* work;
  Count count;
  int active, references;
};

STATIC void release(Job* job)
{
  if (__atomic_sub_fetch(&job->references, 1, __ATOMIC_ACQ_REL) == 0) ::free(job);
}

// `work` is read only after a claim: without items left, the caller may have returned.
STATIC void work_on(Job* job)
{
  Queue queue = {&job->count, 0, 0, 0, 0};
  if (claim(queue)) job->body(job->work, queue);
}

// What another thread does: it works on the items that are left.
STATIC void help(void* data)
{
  Job* job = (Job*)data;
  __atomic_add_fetch(&job->active, 1, __ATOMIC_SEQ_CST);
  work_on(job);
  __atomic_sub_fetch(&job->active, 1, __ATOMIC_SEQ_CST);
  release(job);
}

// Runs `body` over all items: here, and on up to threads - 1 threads of XLA's pool.
STATIC void share(CallFrame* frame, int threads, void (*body)(void*, Queue&), void* work, int64 total, int64 chunk)
{
  if (total <= 0) return;
  Job* job = (Job*)::malloc(sizeof(Job));
  if (!job) {  // no memory for what threads share: this one does all
    Job alone = {body, work, {0, total, chunk}, 0, 1};
    return work_on(&alone);
  }
  const int64 helpers = (total + chunk - 1) / chunk < threads ? (total + chunk - 1) / chunk - 1 : threads - 1;
  *job = Job {body, work, {0, total, chunk}, 0, (int)helpers + 1};
  for (int64 i = 0; i < helpers; i++) {
    ScheduleArguments arguments = {sizeof(ScheduleArguments), 0, frame->context, help, job};
    if (frame->api->functions[SCHEDULE](&arguments)) release(job);  // no pool: this thread does all
  }
  work_on(job);
  while (__atomic_load_n(&job->active, __ATOMIC_SEQ_CST)) PAUSE;
  release(job);
}

STATIC int64 chunk_of(int64 total, int threads)
{
  const int64 share = total / (4 * (int64)threads);
  return share < 1 ? 1 : share > 8 * LANES ? 8 * LANES : share;
}
