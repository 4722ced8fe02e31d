// What the program is told to do: the text of bench/workload/session.ts, where each part is described.
#pragma once

#include <cstddef>
#include <cstdint>
#include <istream>
#include <string>
#include <vector>

#include "program.h"

namespace bench {

struct Session {
  // Of the data.
  uint64_t entries;
  uint64_t capacity;
  uint64_t value_bytes;
  // Of the database.
  std::string directory;
  uint64_t cache_bytes;
  bool is_direct;
  bool is_durable;
  // Writes that are not durable may stay in memory of the process.
  bool is_in_memory;

  std::vector<NamedValues> steps;
};

// A promise is here what an own value is, but for its latencies, which are always measured.
enum class Form { kBorrowed, kOwned, kPromise };

struct RunStep {
  std::string trace;
  size_t warm_up;
  size_t threads;
  size_t group;
  Form form;
  bool ends_durable;
  bool async_io;
  // On the clock; 0 for no limit.
  uint64_t milliseconds_max;
};

Session ReadSession(std::istream& text);

RunStep RunStepOf(const NamedValues& step);

}  // namespace bench
