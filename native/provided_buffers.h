// Buffers lent to one ring for the kernel to pick from: a read that selects lends one and takes whichever comes first.
//
// Each lent buffer has an id, and is lent by one read that is submitted right after it. So there are never more reads
// that want a buffer than there are buffers (ENOBUFS cannot be), and never more buffers than the ring has entries. A
// read that fails before the kernel takes a buffer leaves behind what it lent, for others; such ids come back with the
// reads that take them, or when everything is dropped. Where no id is free the read goes into its own buffer instead.
//
// Needs Linux 5.19. A refusal is not an error: reads then go into their own buffers, and the reason is kept for people.
#ifndef QUADRING_PROVIDED_BUFFERS_H
#define QUADRING_PROVIDED_BUFFERS_H

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace quadring {

class ProvidedBuffers {
 public:
  /** A lent buffer's size is a multiple of the first, up to the second. */
  static constexpr size_t kBytesUnit = 4096;
  static constexpr size_t kBytesMax = size_t{1} << 20;
  /** What the kernel allows in one buffer ring. */
  static constexpr uint32_t kEntriesMax = 1u << 15;
  /**
   * The one group of a ring. Not below 64: of those Linux 6.1 keeps, when they are registered again, how far it had got in
   * what was lent before, and takes buffers that nobody has lent, or finds none.
   */
  static constexpr uint16_t kGroup = 64;

  ProvidedBuffers() = default;
  /** REQUIRES: released, or the ring given back. */
  ~ProvidedBuffers() { Unmap(); }
  ProvidedBuffers(const ProvidedBuffers&) = delete;
  ProvidedBuffers& operator=(const ProvidedBuffers&) = delete;

  /**
   * Drops whatever was lent, and makes room for `entries` (0: none) buffers to come.
   * REQUIRES: nothing is in flight; entries is 0 or a power of two ≤ kEntriesMax, and the same one each time.
   */
  void Renew(io_uring* ring, uint32_t entries);

  /** False: nothing can be lent now. Otherwise a read with IOSQE_BUFFER_SELECT must follow. */
  bool Lend(const uint8_t* buffer, uint32_t bytes, uint32_t offset);

  /** The offset of the buffer that a completion names by its id. */
  uint32_t Take(uint32_t id) {
    free_ids_.push_back(static_cast<uint16_t>(id));
    return offsets_[id];
  }

  /** Before the ring is given back, so that the locked memory is free again when that call returns. */
  void Release(io_uring* ring);

  uint32_t entries() const { return entries_; }
  const std::string& refusal() const { return refusal_; }

 private:
  bool Map(uint32_t entries);
  void Unmap();
  void Refuse(int error_number);

  /** Shared with the kernel: `entries_` buffers. The last two bytes of the first are the tail. */
  io_uring_buf* lent_ = nullptr;
  size_t mapped_bytes_ = 0;
  /** 0 while nothing is registered. */
  uint32_t entries_ = 0;
  uint16_t tail_ = 0;
  std::vector<uint16_t> free_ids_;
  /** By id. */
  std::vector<uint32_t> offsets_;
  std::string refusal_;
};

}  // namespace quadring

#endif
