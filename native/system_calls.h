// The same operations as class Ring, as plain blocking system calls: for kernels and containers that refuse io_uring.
// A turn carries out its whole batch; nothing is ever in flight between two turns. Timeouts all begin with the turn, so
// that it sleeps for no longer than the longest of them. One thread, whose I/O priority follows that of the operations.
#ifndef QUADRING_SYSTEM_CALLS_H
#define QUADRING_SYSTEM_CALLS_H

#include <cstdint>

#include "backend.h"
#include "batch.h"
#include "errors.h"
#include "open_descriptors.h"
#include "regions.h"

namespace quadring {

/** Carries out a kTruncate; 0 or a negative errno. */
int32_t Truncate(const Operation& operation);

class SystemCalls {
 public:
  static constexpr const char* kClassName = "SystemCalls";

  explicit SystemCalls(const BackendOptions& options) : options_(options), batch_(options.entries) {}

  Failure Open() { return Failure{}; }
  Failure Attach(uint32_t region, uint8_t* base, size_t length, FixedRange fixed, uint32_t select_bytes);
  uint32_t Room() const { return options_.entries; }
  /** How many completions were written, or -1: see failure(). REQUIRES: count ≤ Room(). */
  int Turn(uint32_t count, uint32_t wait_microseconds);
  const Failure& failure() const { return failure_; }
  BackendDescription Describe() const;
  /** Closes what was opened through it. */
  Failure Close();

 private:
  void WaitForWakeUp(uint32_t wait_microseconds);

  BackendOptions options_;
  Batch batch_;
  Regions regions_;
  OpenDescriptors descriptors_;
  Failure failure_;
};

}  // namespace quadring

#endif
