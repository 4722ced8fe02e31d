// Memory registered with one ring, so that the kernel need not look up and pin its pages at every operation.
//
// Ranges are registered in slices of 1 MiB, because a user without CAP_IPC_LOCK may lock only a few MiB in all and a
// slice is either registered or not. A refusal is not an error: the rest stays unregistered, works as well if a little
// slower, and the reason is kept for people.
//
// From Linux 5.19 slices go into a sparse table, made at the first use. On older kernels (or where the table is
// refused) every change registers all slices of all regions anew.
//
// What was taken out of a sparse table may stay locked for up to a second (before Linux 6.5), and counts against the limit
// until then. So who is refused after that gives the whole table back, which waits for it, and fills a new one. A tag would
// tell of it as well, but its completion comes before the memory is free.
#ifndef QUADRING_FIXED_BUFFERS_H
#define QUADRING_FIXED_BUFFERS_H

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "regions.h"

namespace quadring {

class FixedBuffers {
 public:
  static constexpr uint32_t kSliceShift = 20;
  static constexpr size_t kSliceBytes = size_t{1} << kSliceShift;
  /** What the kernel allows (IORING_MAX_REG_BUFFERS); 16 GiB in slices. */
  static constexpr uint32_t kSlotsMax = 1u << 14;

  /**
   * Replaces what the region had registered by [base, base + slices MiB).
   * REQUIRES: nothing is in flight, not even an internal operation: older kernels wait for it.
   */
  void Attach(io_uring* ring, uint32_t region, size_t region_offset, uint8_t* base, uint32_t slices);

  /** The index of the one registered slice that holds [offset, offset + length) of a region, or -1. */
  int Find(uint32_t region, uint32_t offset, uint32_t length) const {
    const Range& range = ranges_[region];
    // An offset before the range wraps round to a slice number that is too large.
    const size_t from = offset - range.region_offset;
    const size_t slice = from >> kSliceShift;
    if (slice >= range.slices || length == 0) return -1;
    if ((from + length - 1) >> kSliceShift != slice) return -1;
    return static_cast<int>(range.first_slot + slice);
  }

  /** Before the ring is given back, so that the locked memory is free again when that call returns. */
  void Release(io_uring* ring);

  uint64_t registered_bytes() const;
  const std::string& refusal() const { return refusal_; }

 private:
  enum class Table { kNone, kSparse, kWhole };

  struct Range {
    size_t region_offset = 0;
    uint8_t* base = nullptr;
    /** Slices asked for. */
    uint32_t wanted = 0;
    /** Slices registered, from the range's beginning. */
    uint32_t slices = 0;
    uint32_t first_slot = 0;
  };

  void MakeTable(io_uring* ring);
  /** 0, or the errno that the rest was refused with. */
  int FillSparse(io_uring* ring, Range* range, uint32_t slices);
  int FillOrRenewSparse(io_uring* ring, Range* changed);
  int RenewSparse(io_uring* ring, Range* changed);
  void ClearSparse(io_uring* ring, Range* range);
  /** Likewise; of what was refused. */
  int RegisterWhole(io_uring* ring, Range* changed);
  static std::string Refusal(int error_number, uint32_t slices);
  uint32_t Missing() const;

  Range ranges_[kRegionsMax];
  Table table_ = Table::kNone;
  bool whole_registered_ = false;
  std::vector<bool> slot_used_;
  /** Slots of the sparse table were emptied: their memory may be locked still. */
  bool was_taken_from_ = false;
  int refused_with_ = 0;
  std::string refusal_;
};

}  // namespace quadring

#endif
