#include "provided_buffers.h"

#include <sys/mman.h>

#include <cerrno>

#include "errors.h"
#include "ring_errors.h"

namespace quadring {

// liburing's io_uring_buf_ring has another layout in C++ than in C with some versions of its headers: not used here.
static_assert(sizeof(io_uring_buf) == 16 && offsetof(io_uring_buf, resv) == 14, "the kernel keeps the tail there");

void ProvidedBuffers::Renew(io_uring* ring, uint32_t entries) {
  Release(ring);
  refusal_.clear();
  if (entries == 0) return;
  if (lent_ == nullptr && !Map(entries)) return Refuse(errno);

  tail_ = 0;
  __atomic_store_n(&lent_[0].resv, tail_, __ATOMIC_RELEASE);
  io_uring_buf_reg registration = {};
  registration.ring_addr = reinterpret_cast<uintptr_t>(lent_);
  registration.ring_entries = entries;
  registration.bgid = kGroup;
  const int result = io_uring_register_buf_ring(ring, &registration, 0);
  if (result < 0) return Refuse(-result);

  entries_ = entries;
  offsets_.assign(entries, 0);
  free_ids_.resize(entries);
  for (uint32_t id = 0; id < entries; id++) free_ids_[id] = static_cast<uint16_t>(id);
}

bool ProvidedBuffers::Lend(const uint8_t* buffer, uint32_t bytes, uint32_t offset) {
  if (entries_ == 0 || free_ids_.empty()) return false;
  const uint16_t id = free_ids_.back();
  free_ids_.pop_back();
  offsets_[id] = offset;
  io_uring_buf* entry = &lent_[tail_ & (entries_ - 1)];
  entry->addr = reinterpret_cast<uintptr_t>(buffer);
  entry->len = bytes;
  entry->bid = id;
  tail_++;
  __atomic_store_n(&lent_[0].resv, tail_, __ATOMIC_RELEASE);
  return true;
}

void ProvidedBuffers::Release(io_uring* ring) {
  // Should this fail, the next registration does too, and nothing is lent any more.
  if (entries_ != 0) io_uring_unregister_buf_ring(ring, kGroup);
  entries_ = 0;
}

/** The kernel wants whole pages of its own. */
bool ProvidedBuffers::Map(uint32_t entries) {
  const size_t bytes = entries * sizeof(io_uring_buf);
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (mapped == MAP_FAILED) return false;
  lent_ = static_cast<io_uring_buf*>(mapped);
  mapped_bytes_ = bytes;
  return true;
}

void ProvidedBuffers::Unmap() {
  if (lent_ != nullptr) munmap(lent_, mapped_bytes_);
  lent_ = nullptr;
}

void ProvidedBuffers::Refuse(int error_number) {
  refusal_ = "no provided buffers: " + ErrorName(error_number);
  switch (error_number) {
    case EINVAL:
      refusal_ += ", the kernel is older than Linux 5.19";
      break;
    case ENOMEM:
    case EPERM:
      refusal_ += ", the limit on locked memory is " + MemoryLockLimit();
      break;
    default:
      break;
  }
}

}  // namespace quadring
