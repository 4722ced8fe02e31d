// CRC-32C (Castagnoli): reflected polynomial 0x82f63b78, initial value and final xor 0xffffffff. Chains:
// Crc32c(Crc32c(0, a), b) is the checksum of a followed by b. Any thread.
#ifndef QUADRING_CHECKSUM_H
#define QUADRING_CHECKSUM_H

#include <cstddef>
#include <cstdint>

namespace quadring {

using Crc32cFunction = uint32_t (*)(uint32_t seed, const uint8_t* bytes, size_t length);

uint32_t Crc32cPortable(uint32_t seed, const uint8_t* bytes, size_t length);

struct Crc32cImplementation {
  /** "sse4.2", "armv8" or "portable". */
  const char* name;
  Crc32cFunction function;
};

/** The fastest that this processor has; decided once. */
const Crc32cImplementation& Crc32cFastest();

}  // namespace quadring

#endif
