// Reads at random places of a file, so many in flight, each lane into a buffer of its own.
#ifndef QUADRING_BENCH_READS_H
#define QUADRING_BENCH_READS_H

#include <cstdint>
#include <functional>
#include <vector>

#include "resources.h"
#include "ring.h"
#include "timing.h"

namespace bench {

struct ReadPlan {
  /** A descriptor, or with IOSQE_FIXED_FILE a place in the ring's table. */
  int file = -1;
  uint64_t file_bytes = 0;
  uint32_t bytes = kPageBytes;
  uint32_t depth = 1;
  uint8_t entry_flags = 0;
  uint16_t priority = 0;
  /** At least depth × bytes. */
  const Memory* memory = nullptr;
  /** All of the memory is registered, in slices of so many bytes from place 0 on, and reads go anywhere in it. */
  uint64_t slice_bytes = 0;
  /** Every place is read once before any is read again, as where nothing may be in the page cache. */
  bool reads_each_once = false;
};

/**
 * Reads until `count` are done, or until `stopped` says so, looked at once a turn; waits for all that are in flight.
 * Latencies go from the turn that submitted a read to the one that brought its completion. How many were read.
 */
uint64_t ReadAtRandom(Ring* ring, const ReadPlan& plan, uint64_t count, std::vector<int64_t>* latencies,
                      const std::function<bool()>& stopped = nullptr);

/** The same, measured, with how often the kernel was entered. */
Result MeasuredReads(Ring* ring, const ReadPlan& plan, uint64_t count);

}  // namespace bench

#endif
