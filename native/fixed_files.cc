#include "fixed_files.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

#include "errors.h"

namespace quadring {
namespace {

/** The kernel allows no more slots than the process may have descriptors. */
uint32_t SlotsAllowed() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return FixedFiles::kSlotsMax;
  return static_cast<uint32_t>(std::min<rlim_t>(limit.rlim_cur, FixedFiles::kSlotsMax));
}

}  // namespace

void FixedFiles::Open(io_uring* ring, bool truncates) {
  if (!truncates) {
    refusal_ = "files are descriptors: the kernel is older than Linux 6.9";
    return;
  }
  const uint32_t slots = SlotsAllowed();
  const int result = slots == 0 ? -EMFILE : io_uring_register_files_sparse(ring, slots);
  if (result < 0) {
    refusal_ = "files are descriptors: " + ErrorName(-result);
    return;
  }
  states_.assign(slots, kFree);
  // The lowest is taken first.
  for (uint32_t slot = slots; slot > 0; slot--) free_.push_back(slot - 1);
}

void FixedFiles::Release(io_uring* ring) {
  if (states_.empty()) return;
  io_uring_unregister_files(ring);
  states_.clear();
  free_.clear();
}

int FixedFiles::Take() {
  if (free_.empty()) return -1;
  const uint32_t slot = free_.back();
  free_.pop_back();
  states_[slot] = kOpening;
  return static_cast<int>(slot);
}

bool FixedFiles::StartClosing(int32_t handle) {
  const uint32_t slot = SlotOf(handle);
  if (slot >= states_.size() || states_[slot] != kOpen) return false;
  states_[slot] = kClosing;
  return true;
}

int32_t FixedFiles::Completed(uint32_t slot, int32_t result) {
  const bool opening = states_[slot] == kOpening;
  // A close that fails was not carried out: its chain was cut, for example.
  const bool is_open = opening == (result >= 0);
  states_[slot] = is_open ? kOpen : kFree;
  if (!is_open) free_.push_back(slot);
  return opening && result >= 0 ? HandleOf(slot) : result;
}

}  // namespace quadring
