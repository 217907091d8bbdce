// The engine's kernels without JAX, Warp or Python: one program for nvcc and for a host's compiler. `gpu_driver.py` writes
// the engine's source (SOURCE), cases with the CPU's numbers, and builds and calls it:
//
//   driver CASE SETS CAPACITY REPEATS WARPS
//
// solves SETS sets (those of the case, again and again), with room for CAPACITY steps a course, goes back over them, and
// prints one line of JSON: how far the results are from the case's, and the least time of each kernel. WARPS: of a
// multiprocessor, in the queue of courses.
//
// On a host every array lies on the heap in its exact size, filled with NaN, so that a sanitizer sees what is read beyond,
// and results show what was never written. With LANES of 1 it runs the GPU's kernels, else the CPU's.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#define CHECK(call)                                                                              \
  do {                                                                                           \
    cudaError_t error = (call);                                                                  \
    if (error != cudaSuccess) {                                                                  \
      std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(error)); \
      std::exit(1);                                                                              \
    }                                                                                            \
  } while (0)
#endif

#include SOURCE

typedef Engine E;
typedef E::int64 int64;

// ------------------------------------------------------------------------------------------------------------- cases

struct Case {
  int64 integers, floats, sets, slots, protocols, segments, times, equilibrations, species;
  std::vector<int> plan;
  std::vector<double> numbers, environment, y, cotangent, slope;
  std::vector<int> status, steps;
};

template <class T> static std::vector<T> read_array(FILE* file, size_t count)
{
  std::vector<T> values(count);
  if (count && std::fread(values.data(), sizeof(T), count, file) != count) {
    std::fputs("the case is shorter than its head says\n", stderr);
    std::exit(1);
  }
  return values;
}

static Case read_case(const char* path)
{
  FILE* file = std::fopen(path, "rb");
  if (!file) {
    std::fprintf(stderr, "no case at %s\n", path);
    std::exit(1);
  }
  Case c = {};
  const std::vector<int64> head = read_array<int64>(file, 9);
  int64* const names[] = {&c.integers, &c.floats, &c.sets,           &c.slots,  &c.protocols,
                          &c.segments, &c.times,  &c.equilibrations, &c.species};
  for (size_t i = 0; i < head.size(); i++) *names[i] = head[i];
  const size_t courses = c.sets * c.protocols, outputs = courses * c.times * c.species;
  c.numbers = read_array<double>(file, c.floats);
  c.environment = read_array<double>(file, c.sets * c.slots);
  c.y = read_array<double>(file, outputs);
  c.cotangent = read_array<double>(file, outputs);
  c.slope = read_array<double>(file, c.sets * c.slots);
  c.plan = read_array<int>(file, c.integers);
  c.status = read_array<int>(file, courses);
  c.steps = read_array<int>(file, courses);
  std::fclose(file);
  return c;
}

// Values of `sets` sets, those of the case again and again.
template <class T> static std::vector<T> repeated(const std::vector<T>& values, int64 own, int64 sets)
{
  const size_t each = values.size() / own;
  std::vector<T> out(each * sets);
  for (int64 s = 0; s < sets; s++) std::copy_n(values.begin() + (s % own) * each, each, out.begin() + s * each);
  return out;
}

// ------------------------------------------------------------------------------------------------------------ arrays

#ifdef __CUDACC__
template <class T> struct Memory {
  T* at;
  size_t count;
  explicit Memory(size_t n) : at(0), count(n)
  {
    CHECK(cudaMalloc(&at, std::max<size_t>(n, 1) * sizeof(T)));
    CHECK(cudaMemset(at, 0xff, std::max<size_t>(n, 1) * sizeof(T)));  // no numbers
  }
  explicit Memory(const std::vector<T>& v) : Memory(v.size()) { set(v); }
  Memory(const Memory&) = delete;
  ~Memory() { cudaFree(at); }
  void set(const std::vector<T>& v) { CHECK(cudaMemcpy(at, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice)); }
  std::vector<T> host() const
  {
    std::vector<T> v(count);
    CHECK(cudaMemcpy(v.data(), at, count * sizeof(T), cudaMemcpyDeviceToHost));
    return v;
  }
};
#else
template <class T> struct Memory {
  T* at;
  size_t count;
  explicit Memory(size_t n) : at((T*)std::malloc(n * sizeof(T))), count(n)
  {
    if (n && !at) {
      std::fputs("no memory for an array\n", stderr);
      std::exit(1);
    }
    if (n) std::memset((void*)at, 0xff, n * sizeof(T));
  }
  explicit Memory(const std::vector<T>& v) : Memory(v.size()) { set(v); }
  Memory(const Memory&) = delete;
  ~Memory() { std::free(at); }
  void set(const std::vector<T>& v) { std::copy(v.begin(), v.end(), at); }
  std::vector<T> host() const { return std::vector<T>(at, at + count); }
};
#endif

// What a run works on.
struct Arrays {
  Memory<int> plan;
  Memory<double> numbers, environment, cotangent, y, rows, steady, start, slots, steady_slots, out;
  Memory<int> status, steps, rejected, accepted, steady_status, steady_steps;
  Memory<int64> where, room, count;
  Arrays(const Case& c, int64 sets, int64 capacity)
    : plan(c.plan), numbers(c.numbers), environment(repeated(c.environment, c.sets, sets)),
      cotangent(repeated(c.cotangent, c.sets, capacity ? sets : 0)), y(sets * c.protocols * c.times * c.species),
      rows(sets * c.protocols * capacity * E::ROW),
      steady(sets * c.equilibrations * E::STEADY_ROWS * c.species), start(sets * c.protocols * c.species),
      slots(sets * c.protocols * c.slots), steady_slots(sets * c.equilibrations * c.slots), out(sets * c.slots),
      status(sets * c.protocols), steps(sets * c.protocols), rejected(sets * c.protocols),
      accepted(sets * c.protocols * c.segments), steady_status(sets * c.equilibrations), steady_steps(sets * c.equilibrations),
      where(sets * c.protocols), room(sets * c.protocols), count(3)
  {}
};

// ----------------------------------------------------------------------------------------------------------- kernels

#if LANES == 1
#ifdef __CUDACC__
#define KERNEL static __global__ void
#define ITEM (int64)blockIdx.x * blockDim.x + threadIdx.x
#define BLOCK 32
#else
#define KERNEL static void
#define ITEM item_now
static int64 item_now;
#endif

// What `BATCH` needs.
#define PLAN const int* plan, int64 integers, const double* numbers, int64 floats, const double* environment, int64 sets
#define BATCH E::batch_of(plan, integers, numbers, floats, environment, sets)
#define PLAN_OF(c, a) (a).plan.at, (c).integers, (a).numbers.at, (c).floats, (a).environment.at, sets

KERNEL steady_state(PLAN, int64 items, double* steady, int* status, int* steps)
{
  const int64 item = ITEM;
  if (item < items) E::gpu_steady(BATCH, steady, status, steps, item);
}

KERNEL course(PLAN, const double* steady, const int* steady_status, const int* steady_steps, const int64* where,
              const int64* room, int64* count, double* y, int* status, int* steps, int* rejected, int* accepted, double* rows)
{
  E::gpu_course(BATCH, steady, steady_status, steady_steps, where, room, count, y, status, steps, rejected, accepted, rows);
}

KERNEL course_adjoint(PLAN, const int* status, const int* accepted, const int64* where, const double* rows,
                      const double* cotangent, int64* count, double* start, double* slots)
{
  E::gpu_course_adjoint(BATCH, status, accepted, where, rows, cotangent, count, start, slots);
}

KERNEL steady_adjoint(PLAN, int64 items, const double* steady, const int* steady_status, const double* start,
                      double* steady_slots)
{
  const int64 item = ITEM;
  if (item < items) E::gpu_steady_adjoint(BATCH, steady, steady_status, start, steady_slots, item);
}

KERNEL slot(PLAN, int64 items, const double* slots, const double* steady_slots, double* out)
{
  const int64 item = ITEM;
  if (item < items) E::gpu_slot(BATCH, slots, steady_slots, out, item);
}
#endif

enum { COMPARED = 10000 };  // courses, at most, whose rows are compared

struct Times {
  double steady = 0, course = 0, back = 0, steady_adjoint = 0, slot = 0;  // ms
};

#ifdef __CUDACC__
static int threads_of_queue(int64 items, int warps)
{
  cudaDeviceProp card;
  CHECK(cudaGetDeviceProperties(&card, 0));
  return (int)std::min<int64>((items + BLOCK - 1) / BLOCK * BLOCK, (int64)card.multiProcessorCount * warps * BLOCK);
}

template <class F> static double least(int repeats, F launch)
{
  cudaEvent_t from, to;
  CHECK(cudaEventCreate(&from));
  CHECK(cudaEventCreate(&to));
  double best = INFINITY;
  for (int r = 0; r < repeats; r++) {
    CHECK(cudaEventRecord(from));
    launch();
    CHECK(cudaEventRecord(to));
    CHECK(cudaEventSynchronize(to));
    CHECK(cudaGetLastError());
    float ms;
    CHECK(cudaEventElapsedTime(&ms, from, to));
    best = std::min(best, (double)ms);
  }
  return best;
}
#define LAUNCH(kernel, threads, ...) kernel<<<((threads) + BLOCK - 1) / BLOCK, BLOCK>>>(__VA_ARGS__)
#elif LANES == 1
static int threads_of_queue(int64 items, int) { return (int)std::min<int64>(items, 3); }
template <class F> static double least(int, F launch)
{
  launch();
  return 0;
}
#define LAUNCH(kernel, threads, ...) \
  for (item_now = 0; item_now < (int64)(threads); item_now++) kernel(__VA_ARGS__)
#endif

#if LANES == 1
static void set_queue(Arrays& a, int64 items) { a.count.set({0, items, 1}); }

static void solve(const Case& c, Arrays& a, int64 sets, int64 capacity, int repeats, int warps, Times& ms)
{
  const int64 items = sets * c.protocols, equilibrations = sets * c.equilibrations;
  std::vector<int64> where(items);
  for (int64 i = 0; i < items; i++) where[i] = ((i % sets) * c.protocols + i / sets) * capacity * E::ROW;
  a.where.set(where);
  a.room.set(std::vector<int64>(items, capacity));
  if (equilibrations)
    ms.steady = least(repeats, [&] {
      LAUNCH(steady_state, equilibrations, PLAN_OF(c, a), equilibrations, a.steady.at, a.steady_status.at,
             a.steady_steps.at);
    });
  ms.course = least(repeats, [&] {
    set_queue(a, items);
    LAUNCH(course, threads_of_queue(items, warps), PLAN_OF(c, a), a.steady.at, a.steady_status.at, a.steady_steps.at,
           a.where.at, a.room.at, a.count.at, a.y.at, a.status.at, a.steps.at, a.rejected.at, a.accepted.at, a.rows.at);
  });
}

static void back(const Case& c, Arrays& a, int64 sets, const std::vector<int64>& where, int repeats, int warps, Times& ms)
{
  const int64 items = sets * c.protocols, equilibrations = sets * c.equilibrations;
  a.where.set(where);
  a.start.set(std::vector<double>(a.start.count, 0.0));
  a.slots.set(std::vector<double>(a.slots.count, 0.0));
  ms.back = least(repeats, [&] {
    set_queue(a, items);
    LAUNCH(course_adjoint, threads_of_queue(items, warps), PLAN_OF(c, a), a.status.at, a.accepted.at, a.where.at, a.rows.at,
           a.cotangent.at, a.count.at, a.start.at, a.slots.at);
  });
  if (equilibrations)
    ms.steady_adjoint = least(repeats, [&] {
      LAUNCH(steady_adjoint, equilibrations, PLAN_OF(c, a), equilibrations, a.steady.at, a.steady_status.at,
             a.start.at, a.steady_slots.at);
    });
  ms.slot = least(repeats, [&] {
    LAUNCH(slot, sets * c.slots, PLAN_OF(c, a), sets * c.slots, a.slots.at, a.steady_slots.at, a.out.at);
  });
}

static void solve_again(const Case& c, Arrays& a, int64 sets, const std::vector<int64>& where,
                        const std::vector<int64>& room, Memory<double>& rows, int warps)
{
  const int64 items = sets * c.protocols;
  a.where.set(where);
  a.room.set(room);
  set_queue(a, items);
  LAUNCH(course, threads_of_queue(items, warps), PLAN_OF(c, a), a.steady.at, a.steady_status.at,
         a.steady_status.at, a.where.at, a.room.at, a.count.at, (double*)0, (int*)0, (int*)0, (int*)0, (int*)0, rows.at);
}
#else
static E::Batch batch(const Case& c, Arrays& a, int64 sets, int64 capacity)
{
  E::Batch b = {};
  if (!E::read_plan(a.plan.at, c.integers, a.numbers.at, c.floats, b.plan)) {
    std::fputs("the plan's arrays do not have the lengths that its layout asks for\n", stderr);
    std::exit(1);
  }
  b.sets = sets;
  b.environment = a.environment.at;
  b.y = a.y.at;
  b.status = a.status.at;
  b.steps = a.steps.at;
  b.rejected = a.rejected.at;
  b.accepted = a.accepted.at;
  b.record = a.rows.at;
  b.capacity = capacity;
  b.steady = a.steady.at;
  b.steady_status = a.steady_status.at;
  b.steady_steps = a.steady_steps.at;
  return b;
}

static E::Queue queue_of(int64 items) { return {0, 0, items, 0, 0}; }

static void solve(const Case& c, Arrays& a, int64 sets, int64 capacity, int, int, Times&)
{
  const E::Batch b = batch(c, a, sets, capacity);
  E::Queue equilibrations = queue_of(sets * c.equilibrations), polish = equilibrations, courses = queue_of(sets * c.protocols);
  E::find_steady_states(b, equilibrations);
  E::polish_steady_states(b, polish);
  E::solve_courses(b, courses);
}

static void back(const Case& c, Arrays& a, int64 sets, const std::vector<int64>& where, int, int, Times&)
{
  E::Batch b = batch(c, a, sets, (int64)(a.rows.count / E::ROW) / (sets * c.protocols));
  b.y = 0;
  const E::Adjoint adjoint = {a.cotangent.at, a.start.at, a.slots.at, a.steady_slots.at};
  a.start.set(std::vector<double>(a.start.count, 0.0));
  a.slots.set(std::vector<double>(a.slots.count, 0.0));
  E::Queue courses = {0, 0, sets * c.protocols, 0, where.data()}, equilibrations = queue_of(sets * c.equilibrations);
  E::solve_adjoint(b, adjoint, courses);
  E::pull_steady_states(b, adjoint, equilibrations);
  for (int64 s = 0; s < sets; s++)
    for (int64 i = 0; i < c.slots; i++) {
      double sum = 0.0;
      for (int64 p = 0; p < c.protocols; p++) sum += a.slots.at[(s * c.protocols + p) * c.slots + i];
      for (int64 e = 0; e < c.equilibrations; e++) sum += a.steady_slots.at[(s * c.equilibrations + e) * c.slots + i];
      a.out.at[s * c.slots + i] = sum;
    }
}

static void solve_again(const Case& c, Arrays& a, int64 sets, const std::vector<int64>& where, const std::vector<int64>& room,
                        Memory<double>& rows, int)
{
  E::Batch b = batch(c, a, sets, 0);
  b.y = 0;
  b.accepted = 0;
  b.again = rows.at;
  b.offset = where.data();
  b.room = room.data();
  std::vector<int64> list;
  for (int64 i = 0; i < (int64)where.size(); i++)
    if (where[i] >= 0) list.push_back(i);
  E::Queue queue = {0, 0, (int64)list.size(), list.data(), 0};
  E::solve_courses(b, queue);
}
#endif

// ---------------------------------------------------------------------------------------------------------- judgement

// Solves courses again as the way back does: without outputs, into exact room, every third left out. Counts rows that are
// not what the first pass recorded.
static int64 differing_rows(const Case& c, Arrays& a, int64 sets, int64 capacity, const std::vector<int64>& needed, int warps)
{
  const int64 items = sets * c.protocols;
  std::vector<int64> where(items);
  int64 size = 0;
  for (int64 i = 0; i < items; i++) {
    where[i] = i % 3 && needed[i] ? size : -1;
    if (where[i] >= 0) size += needed[i] * E::ROW;
  }
  Memory<double> rows_again(size);
  solve_again(c, a, sets, where, needed, rows_again, warps);
  const std::vector<double> again = rows_again.host(), rows = a.rows.host();
  int64 off = 0;
  for (int64 i = 0; i < items; i++) {
    if (where[i] < 0) continue;
    const int64 first = ((i % sets) * c.protocols + i / sets) * capacity * E::ROW;
    for (int64 n = 0; n < std::min(needed[i], capacity); n++)
      off += std::memcmp(&again[where[i] + n * E::ROW], &rows[first + n * E::ROW], E::ROW * sizeof(double)) != 0;
  }
  return off;
}

// The larger of a worst difference and another; what is no number is worst of all, and stays.
static void note(double& worst, double difference)
{
  if (!(difference <= worst)) worst = worst == worst ? difference : worst;
}

// Of the first sets alone, where there are many: the others are the same again.
static int64 judged(const Case& c, int64 sets) { return std::min(sets, 4 * c.sets); }

// Largest difference of outputs, each species by its largest in the course. NaN stands for NaN.
static double value_off(const Case& c, const std::vector<double>& y, int64 sets)
{
  double worst = 0;
  for (int64 k = 0; k < judged(c, sets) * c.protocols; k++)
    for (int64 n = 0; n < c.species; n++) {
      const double* found = y.data() + k * c.times * c.species + n;
      const double* known = c.y.data() + (k / c.protocols % c.sets * c.protocols + k % c.protocols) * c.times * c.species + n;
      double scale = 1e-9;
      for (int64 t = 0; t < c.times; t++) scale = std::fmax(scale, std::fabs(known[t * c.species]));
      for (int64 t = 0; t < c.times; t++) {
        const double a = found[t * c.species], b = known[t * c.species];
        if (a != a && b != b) continue;
        note(worst, std::fabs(a - b) / scale);
      }
    }
  return worst;
}

// Largest difference of a set's gradient, by its norm.
static double gradient_off(const Case& c, const std::vector<double>& out, int64 sets)
{
  double worst = 0;
  for (int64 s = 0; s < judged(c, sets); s++) {
    double norm = 0, off = 0;
    for (int64 i = 0; i < c.slots; i++) {
      const double known = c.slope[s % c.sets * c.slots + i];
      norm += known * known;
      off += std::pow(known - out[s * c.slots + i], 2);
    }
    note(worst, norm > 0 ? std::sqrt(off / norm) : std::sqrt(off));
  }
  return worst;
}

static void print(const char* name, double x, const char* end)
{
  if (std::isfinite(x)) std::printf("\"%s\": %.6g%s", name, x, end);
  else std::printf("\"%s\": null%s", name, end);
}

int main(int argc, char** argv)
{
  if (argc < 6) {
    std::fputs("driver CASE SETS CAPACITY REPEATS WARPS\n", stderr);
    return 2;
  }
  const Case c = read_case(argv[1]);
  const int64 sets = std::atoll(argv[2]), capacity = std::atoll(argv[3]), items = sets * c.protocols;
  const int repeats = std::atoi(argv[4]), warps = std::atoi(argv[5]);
  const bool forward_only = capacity == 0;
  Arrays a(c, sets, capacity);
  Times ms;
  solve(c, a, sets, capacity, repeats, warps, ms);
  const std::vector<int> status = a.status.host(), steps = a.steps.host(), accepted = a.accepted.host();
  const std::vector<double> y = a.y.host();
  int64 other_status = 0, other_steps = 0, unrecorded = 0, off = 0;
  double total = 0;
  for (int64 k = 0; k < items; k++) {
    const int64 known = k / c.protocols % c.sets * c.protocols + k % c.protocols;
    other_status += status[k] != c.status[known];
    other_steps += steps[k] != c.steps[known];
    total += steps[k];
  }
  std::vector<double> out;
  if (!forward_only) {
    std::vector<int64> needed(items), where(items);  // by item
    for (int64 i = 0; i < items; i++) {
      const int64 place = (i % sets) * c.protocols + i / sets;
      for (int64 s = 0; s < c.segments && status[place] == 0; s++) needed[i] += accepted[place * c.segments + s];
      where[i] = status[place] == 0 && needed[i] <= capacity ? place * capacity * E::ROW : -1;
      unrecorded += status[place] == 0 && needed[i] > capacity;
    }
    if (items <= COMPARED) off = differing_rows(c, a, sets, capacity, needed, warps);
    back(c, a, sets, where, repeats, warps, ms);
    out = a.out.host();
  }
  std::printf("{\"lanes\": %d, \"trajectories\": %lld, \"other_status\": %lld, \"other_steps\": %lld, ", LANES, items,
              other_status, other_steps);
  std::printf("\"unrecorded\": %lld, \"other_rows\": %lld, ", unrecorded, off);
  print("steps_mean", total / (double)items, ", ");
  print("value_off", value_off(c, y, sets), ", ");
  if (!forward_only && !unrecorded) print("gradient_off", gradient_off(c, out, sets), ", ");
  print("rest_ms", ms.steady, ", ");
  print("course_ms", ms.course, ", ");
  print("back_ms", ms.back, ", ");
  print("rest_back_ms", ms.steady_adjoint, ", ");
  print("slot_ms", ms.slot, "}\n");
  return 0;
}
