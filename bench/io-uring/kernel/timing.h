// How long operations take, and what they cost the process.
#ifndef QUADRING_BENCH_TIMING_H
#define QUADRING_BENCH_TIMING_H

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "refusal.h"

namespace bench {

inline int64_t NowNanoseconds(clockid_t clock = CLOCK_MONOTONIC) {
  timespec now;
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/** Of all threads of the process, the kernel's workers for its rings among them. */
inline int64_t ProcessCpuNanoseconds() {
  rusage usage;
  CheckedCall(getrusage(RUSAGE_SELF, &usage), "getrusage");
  const auto nanoseconds = [](const timeval& time) {
    return int64_t{time.tv_sec} * 1'000'000'000 + int64_t{time.tv_usec} * 1000;
  };
  return nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime);
}

/** The value below which a share of them lies. REQUIRES: not empty. */
inline double Percentile(std::vector<int64_t> values, double share) {
  if (values.empty()) throw Broken{"nothing was measured"};
  const size_t at = std::min(values.size() - 1, static_cast<size_t>(static_cast<double>(values.size()) * share));
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(at), values.end());
  return static_cast<double>(values[at]);
}

/** What one run of an arm says. */
struct Result {
  double operations_per_second = 0;
  double p50_microseconds = 0;
  double p99_microseconds = 0;
  double cpu_microseconds_per_operation = 0;
  /** What else was counted, by its name with its unit. */
  std::map<std::string, double> counted;
  /** What whoever reads the figures must know of this machine, or nothing. */
  std::string note;
};

inline Result ResultOf(uint64_t operations, int64_t elapsed, int64_t cpu, const std::vector<int64_t>& latencies) {
  const auto count = static_cast<double>(operations);
  Result result;
  result.operations_per_second = count * 1e9 / static_cast<double>(std::max<int64_t>(elapsed, 1));
  result.p50_microseconds = Percentile(latencies, 0.5) / 1000;
  result.p99_microseconds = Percentile(latencies, 0.99) / 1000;
  result.cpu_microseconds_per_operation = static_cast<double>(cpu) / 1000 / count;
  return result;
}

/** From its making to Finish(). */
class Stopwatch {
 public:
  explicit Stopwatch(uint64_t latencies_expected) { latencies_.reserve(latencies_expected); }

  void Add(int64_t nanoseconds) { latencies_.push_back(nanoseconds); }
  std::vector<int64_t>* latencies() { return &latencies_; }

  Result Finish(uint64_t operations) const {
    const int64_t elapsed = NowNanoseconds() - began_;
    return ResultOf(operations, elapsed, ProcessCpuNanoseconds() - cpu_before_, latencies_);
  }

 private:
  std::vector<int64_t> latencies_;
  const int64_t cpu_before_ = ProcessCpuNanoseconds();
  const int64_t began_ = NowNanoseconds();
};

/** Carries out `count` times what `once` does; `operations_each` is how many operations that is. */
template <typename Once>
Result Timed(uint64_t count, uint32_t operations_each, Once once) {
  Stopwatch stopwatch(count);
  int64_t at = NowNanoseconds();
  for (uint64_t i = 0; i < count; i++) {
    once(i);
    // One reading of the clock for both ends: it takes a good part of a NOP.
    const int64_t after = NowNanoseconds();
    stopwatch.Add(after - at);
    at = after;
  }
  return stopwatch.Finish(count * operations_each);
}

}  // namespace bench

#endif
