// Trace files, which are described in bench/workload/trace.ts. Little-endian machines only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "program.h"

namespace bench {

enum class What : uint8_t { kGet = 0, kPut = 1, kRange = 2, kReadModifyWrite = 3 };

// As it lies in the file.
struct Operation {
  uint32_t number;
  uint32_t what_and_argument;

  What what() const { return static_cast<What>(what_and_argument & 0xff); }
  uint32_t argument() const { return what_and_argument >> 8; }
  bool writes() const { return what() == What::kPut || what() == What::kReadModifyWrite; }
};
static_assert(sizeof(Operation) == 8, "operations are read as they lie in the file");

// Operations of a trace: from one of them up to, and without, another.
struct Span {
  size_t from;
  size_t to;
};

using Trace = std::vector<Operation>;

// REQUIRES: numbers below the capacity; it is checked.
inline Trace ReadTrace(const std::string& path, uint64_t capacity) {
  std::error_code error;
  const uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error || bytes % sizeof(Operation) != 0) Fail(path + " is not a trace");
  Trace trace(bytes / sizeof(Operation));
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(trace.data()), static_cast<std::streamsize>(bytes))) {
    Fail(path + " cannot be read");
  }
  for (const Operation& operation : trace) {
    if (operation.number >= capacity) Fail(path + " has numbers beyond the capacity");
    if (operation.what() > What::kReadModifyWrite) Fail(path + " has operations of an unknown kind");
  }
  return trace;
}

}  // namespace bench
