// What a step took: time on a clock that can be stopped in between, CPU time, traffic with the disk.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

inline double SecondsBetween(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// `Measured` of bench/workload/session.ts, but for what is the same for all steps.
struct Measured {
  uint64_t operations = 0;
  uint64_t calls = 0;
  double seconds = 0;
  double cpu_seconds = 0;
  uint64_t disk_read_bytes = 0;
  uint64_t disk_write_bytes = 0;
  // Of each call, in whatever order; empty where calls were not measured.
  std::vector<float> latency_micros;
};

// One line, with the memory that is resident at this moment; none where the row is `-`.
void Print(const std::string& row, Measured measured);

// What the kernel accounts to the process, since it was started.
struct Resources {
  double cpu_seconds;
  uint64_t disk_read_bytes;
  uint64_t disk_write_bytes;

  static Resources Now();
};

class Meter {
 public:
  // Time counts between Start and Stop, any number of times; resources count from the first Start, because the database has
  // its background threads at work while the clock stands.
  void Start();
  void Stop();
  double seconds() const { return seconds_; }
  // With what runs now. REQUIRES: it runs.
  double SecondsSoFar() const { return seconds_ + SecondsBetween(started_, Clock::now()); }

  // REQUIRES: was started, and is stopped.
  Measured Finish(uint64_t operations, uint64_t calls) const;

 private:
  bool was_started_ = false;
  Resources at_start_{};
  Clock::time_point started_;
  double seconds_ = 0;
};

}  // namespace bench
