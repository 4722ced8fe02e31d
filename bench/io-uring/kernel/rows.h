// What is compared: rows of arms that differ in one thing each.
#ifndef QUADRING_BENCH_ROWS_H
#define QUADRING_BENCH_ROWS_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "timing.h"

namespace bench {

/** The files that the harness has made, all of their bytes written. */
struct Workplace {
  std::string read_file;
  uint64_t read_bytes = 0;
  std::string write_file;
  uint64_t write_bytes = 0;
};

/** So many operations. What an arm needs is set up before, and goes with it. */
using Run = std::function<Result(uint64_t count)>;

struct Arm {
  std::string name;
  /** Sets up. Throws a Refusal where the kernel does not take it; so may the Run. */
  std::function<Run(const Workplace& workplace)> make;
};

struct Row {
  std::string name;
  /** Of one run, at a scale of 1. */
  uint64_t count;
  /** The first one is the one that the engine has, or would have. */
  std::vector<Arm> arms;
};

using Rows = std::vector<Row>;

// Each in the file of its name.
void AddSetUpRows(Rows* rows);
void AddFileRows(Rows* rows);
void AddChainRows(Rows* rows);
void AddBufferRows(Rows* rows);
void AddWakeUpRows(Rows* rows);
void AddDiskRows(Rows* rows);

}  // namespace bench

#endif
