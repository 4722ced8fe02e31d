#include "fixed_buffers.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

#include "errors.h"
#include "ring_errors.h"

namespace quadring {
namespace {

/** Slices in one call: enough to make the calls few, and few enough for a vector on the stack. */
constexpr uint32_t kSlicesPerCall = 64;

}  // namespace

void FixedBuffers::Attach(io_uring* ring, uint32_t region, size_t region_offset, uint8_t* base, uint32_t slices) {
  Range* range = &ranges_[region];
  refusal_.clear();
  if (table_ == Table::kSparse) ClearSparse(ring, range);
  const bool had_slices = range->slices != 0;
  *range = Range{region_offset, base, 0, 0};
  if (slices == 0 && !had_slices) return;
  if (table_ == Table::kNone) MakeTable(ring);
  if (table_ == Table::kSparse) {
    int error_number = FillSparse(ring, range, slices);
    if (error_number == ENOMEM && had_slices) error_number = RenewSparse(ring, range, slices);
    if (error_number != 0) Refuse(error_number, slices - range->slices);
  } else {
    RegisterWhole(ring, range, slices);
  }
}

void FixedBuffers::MakeTable(io_uring* ring) {
  if (io_uring_register_buffers_sparse(ring, kSlotsMax) == 0) {
    table_ = Table::kSparse;
    slot_used_.assign(kSlotsMax, false);
  } else {
    table_ = Table::kWhole;
  }
}

void FixedBuffers::ClearSparse(io_uring* ring, Range* range) {
  const iovec nothing[kSlicesPerCall] = {};
  for (uint32_t done = 0; done < range->slices;) {
    const uint32_t count = std::min(range->slices - done, kSlicesPerCall);
    const int result = io_uring_register_buffers_update_tag(ring, range->first_slot + done, nothing, nullptr, count);
    // A slot that cannot be emptied stays used: its index must not come to mean other memory.
    if (result <= 0) break;
    for (int slot = 0; slot < result; slot++) slot_used_[range->first_slot + done + slot] = false;
    done += static_cast<uint32_t>(result);
  }
  range->slices = 0;
}

/** Everything anew: giving the table back returns when nothing of it is locked any more. As FillSparse. */
int FixedBuffers::RenewSparse(io_uring* ring, Range* changed, uint32_t slices) {
  if (io_uring_unregister_buffers(ring) != 0) return ENOMEM;
  table_ = Table::kNone;
  MakeTable(ring);
  const bool is_sparse = table_ == Table::kSparse;
  int error_number = 0;
  for (Range& range : ranges_) {
    const uint32_t wanted = &range == changed ? slices : range.slices;
    range.slices = 0;
    const int result = wanted == 0 ? 0 : is_sparse ? FillSparse(ring, &range, wanted) : ENOMEM;
    if (error_number == 0) error_number = result;
  }
  return error_number;
}

int FixedBuffers::FillSparse(io_uring* ring, Range* range, uint32_t slices) {
  // First fit. A range must be contiguous, so that a slice's index is a subtraction away.
  uint32_t first = 0;
  for (uint32_t slot = 0; slot < kSlotsMax && slot - first < slices; slot++) {
    if (slot_used_[slot]) first = slot + 1;
  }
  if (kSlotsMax - first < slices) return ENOSPC;
  range->first_slot = first;

  while (range->slices < slices) {
    const uint32_t count = std::min(slices - range->slices, kSlicesPerCall);
    iovec vectors[kSlicesPerCall];
    for (uint32_t slice = 0; slice < count; slice++) {
      vectors[slice] = iovec{range->base + (size_t{range->slices} + slice) * kSliceBytes, kSliceBytes};
    }
    const int result = io_uring_register_buffers_update_tag(ring, first + range->slices, vectors, nullptr, count);
    if (result <= 0) return result == 0 ? EINVAL : -result;
    // Fewer than asked for: the next call begins with the slice that was refused, and says why.
    for (int slot = 0; slot < result; slot++) slot_used_[first + range->slices + slot] = true;
    range->slices += static_cast<uint32_t>(result);
  }
  return 0;
}

void FixedBuffers::RegisterWhole(io_uring* ring, Range* changed, uint32_t slices) {
  if (whole_registered_) io_uring_unregister_buffers(ring);
  whole_registered_ = false;

  // Halving bounds the attempts to 15 for the largest range there can be.
  int error_number = 0;
  for (uint32_t attempt = slices;; attempt /= 2) {
    changed->slices = attempt;
    std::vector<iovec> vectors;
    for (Range& range : ranges_) {
      range.first_slot = static_cast<uint32_t>(vectors.size());
      for (uint32_t slice = 0; slice < range.slices; slice++) {
        vectors.push_back(iovec{range.base + size_t{slice} * kSliceBytes, kSliceBytes});
      }
    }
    if (vectors.empty()) break;
    const int result = io_uring_register_buffers(ring, vectors.data(), static_cast<unsigned>(vectors.size()));
    if (result == 0) {
      whole_registered_ = true;
      break;
    }
    error_number = -result;
    if (attempt == 0) {
      // Not even what was registered a moment ago: others have taken the allowance.
      for (Range& range : ranges_) range.slices = 0;
      break;
    }
  }
  if (error_number != 0) Refuse(error_number, slices - changed->slices);
}

void FixedBuffers::Refuse(int error_number, uint32_t slices) {
  refusal_ = std::to_string(slices) + " MiB not registered: " + ErrorName(error_number);
  switch (error_number) {
    case ENOMEM:
    case EPERM:
      refusal_ += ", the limit on locked memory is " + MemoryLockLimit() +
                  " for all rings of this user; raise it with `ulimit -l`, LimitMEMLOCK= in the service's unit, or "
                  "`--ulimit memlock=-1` for a container (or give the process CAP_IPC_LOCK)";
      break;
    case ENOSPC:
      refusal_ += ", the ring's table of " + std::to_string(kSlotsMax) + " slices has no gap that large";
      break;
    case EFAULT:
      refusal_ += ", the kernel cannot keep this kind of memory in place";
      break;
    default:
      break;
  }
}

void FixedBuffers::Release(io_uring* ring) {
  if (table_ == Table::kSparse || whole_registered_) io_uring_unregister_buffers(ring);
  table_ = Table::kNone;
  whole_registered_ = false;
  for (Range& range : ranges_) range = Range{};
}

uint64_t FixedBuffers::registered_bytes() const {
  uint64_t slices = 0;
  for (const Range& range : ranges_) slices += range.slices;
  return slices << kSliceShift;
}

}  // namespace quadring
