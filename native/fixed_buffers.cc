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
  const bool had_slices = range->slices != 0;
  if (table_ == Table::kSparse) ClearSparse(ring, range);
  *range = Range{region_offset, base, slices, 0, 0};
  if (slices != 0 || had_slices) {
    if (table_ == Table::kNone) MakeTable(ring);
    const int error_number = table_ == Table::kSparse ? FillOrRenewSparse(ring, range) : RegisterWhole(ring, range);
    if (error_number != 0) refused_with_ = error_number;
  }
  // Of a region that was attached earlier something may be missing as well.
  const uint32_t missing = Missing();
  refusal_ = missing == 0 ? std::string() : Refusal(refused_with_, missing);
}

void FixedBuffers::MakeTable(io_uring* ring) {
  if (io_uring_register_buffers_sparse(ring, kSlotsMax) == 0) {
    table_ = Table::kSparse;
    slot_used_.assign(kSlotsMax, false);
    was_taken_from_ = false;
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
    was_taken_from_ = true;
    for (int slot = 0; slot < result; slot++) slot_used_[range->first_slot + done + slot] = false;
    done += static_cast<uint32_t>(result);
  }
  range->slices = 0;
}

int FixedBuffers::FillOrRenewSparse(io_uring* ring, Range* changed) {
  const int error_number = FillSparse(ring, changed, changed->wanted);
  // What has never had anything taken out has nothing to wait for.
  return error_number == ENOMEM && was_taken_from_ ? RenewSparse(ring, changed) : error_number;
}

/** Everything anew: giving the table back returns when nothing of it is locked any more. As FillSparse. */
int FixedBuffers::RenewSparse(io_uring* ring, Range* changed) {
  if (io_uring_unregister_buffers(ring) != 0) return ENOMEM;
  table_ = Table::kNone;
  MakeTable(ring);
  const bool is_sparse = table_ == Table::kSparse;
  int error_number = 0;
  for (Range& range : ranges_) {
    // The others get back what they had.
    const uint32_t slices = &range == changed ? range.wanted : range.slices;
    range.slices = 0;
    const int result = slices == 0 ? 0 : is_sparse ? FillSparse(ring, &range, slices) : ENOMEM;
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

int FixedBuffers::RegisterWhole(io_uring* ring, Range* changed) {
  if (whole_registered_) io_uring_unregister_buffers(ring);
  whole_registered_ = false;

  // Halving bounds the attempts to 15 for the largest range there can be.
  int error_number = 0;
  for (uint32_t attempt = changed->wanted;; attempt /= 2) {
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
  return error_number;
}

std::string FixedBuffers::Refusal(int error_number, uint32_t slices) {
  std::string text = std::to_string(slices) + " MiB not registered: " + ErrorName(error_number);
  switch (error_number) {
    case ENOMEM:
    case EPERM:
      text += ", the limit on locked memory is " + MemoryLockLimit() +
                  " for all rings of this user; raise it with `ulimit -l`, LimitMEMLOCK= in the service's unit, or "
                  "`--ulimit memlock=-1` for a container (or give the process CAP_IPC_LOCK)";
      break;
    case ENOSPC:
      text += ", the ring's table of " + std::to_string(kSlotsMax) + " slices has no gap that large";
      break;
    case EFAULT:
      text += ", the kernel cannot keep this kind of memory in place";
      break;
    default:
      break;
  }
  return text;
}

uint32_t FixedBuffers::Missing() const {
  uint32_t missing = 0;
  for (const Range& range : ranges_) missing += range.wanted - range.slices;
  return missing;
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
