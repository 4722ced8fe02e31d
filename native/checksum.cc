// The processor's checksum instruction takes 8 bytes and gives its result three cycles later, but can be started every
// cycle: one stream reaches a third of the speed. So a block is cut into three equal streams, which advance in turns
// and are joined at the end: the checksum of `ab` is the checksum of `a`, moved over as many zero bytes as `b` has,
// xor the checksum of `b`. Moving over n zero bytes is linear in the 32 bits, hence four look-ups in a table made for
// that n. Three lengths of stream suit blocks of 12 KiB and more, 3 KiB, and 768 bytes; the rest goes in one stream.
#include "checksum.h"

#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#endif

namespace quadring {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;

uint64_t LoadWord(const uint8_t* bytes) {
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  return word;
}

// ---- portable: slicing by 8, little-endian

struct SlicingTable {
  uint32_t entries[8][256];

  constexpr SlicingTable() : entries() {
    for (uint32_t byte = 0; byte < 256; byte++) {
      uint32_t value = byte;
      for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ kPolynomial : value >> 1;
      entries[0][byte] = value;
    }
    for (int slice = 1; slice < 8; slice++) {
      for (uint32_t byte = 0; byte < 256; byte++) {
        const uint32_t before = entries[slice - 1][byte];
        entries[slice][byte] = before >> 8 ^ entries[0][before & 0xff];
      }
    }
  }
};
constexpr SlicingTable kSlicing;

// ---- moving a checksum over zero bytes

/** A 32 × 32 matrix over bits: column i is what bit i becomes. */
struct BitMatrix {
  uint32_t columns[32];

  constexpr BitMatrix() : columns() {}

  constexpr uint32_t Times(uint32_t vector) const {
    uint32_t sum = 0;
    for (int bit = 0; bit < 32; bit++) {
      if (vector >> bit & 1) sum ^= columns[bit];
    }
    return sum;
  }

  constexpr BitMatrix Squared() const {
    BitMatrix result;
    for (int bit = 0; bit < 32; bit++) result.columns[bit] = Times(columns[bit]);
    return result;
  }

  static constexpr BitMatrix OneZeroBit() {
    BitMatrix result;
    result.columns[0] = kPolynomial;
    for (int bit = 1; bit < 32; bit++) result.columns[bit] = uint32_t{1} << (bit - 1);
    return result;
  }
};

template <size_t kBytes>
struct ShiftTable {
  static_assert((kBytes & (kBytes - 1)) == 0, "the matrix is squared, so the length is a power of two");
  uint32_t entries[4][256];

  constexpr ShiftTable() : entries() {
    BitMatrix matrix = BitMatrix::OneZeroBit();
    for (size_t bits = 1; bits < kBytes * 8; bits *= 2) matrix = matrix.Squared();
    for (int place = 0; place < 4; place++) {
      for (uint32_t byte = 0; byte < 256; byte++) entries[place][byte] = matrix.Times(byte << (8 * place));
    }
  }

  uint32_t Shift(uint32_t crc) const {
    return entries[0][crc & 0xff] ^ entries[1][crc >> 8 & 0xff] ^ entries[2][crc >> 16 & 0xff] ^ entries[3][crc >> 24];
  }
};

constexpr ShiftTable<4096> kShiftLong;
constexpr ShiftTable<1024> kShiftMiddle;
constexpr ShiftTable<256> kShiftShort;

// ---- with an instruction; the two functions around it are compiled for a processor that has it

#if defined(__x86_64__)

#define QUADRING_CRC_TARGET __attribute__((target("sse4.2")))
constexpr const char* kInstructionName = "sse4.2";

QUADRING_CRC_TARGET inline uint64_t StepWord(uint64_t crc, uint64_t word) { return _mm_crc32_u64(crc, word); }
QUADRING_CRC_TARGET inline uint64_t StepByte(uint64_t crc, uint8_t byte) {
  return _mm_crc32_u8(static_cast<uint32_t>(crc), byte);
}

bool HasInstruction() {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_2) != 0;
}

#define QUADRING_HAS_CRC 1
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

#define QUADRING_CRC_TARGET
constexpr const char* kInstructionName = "armv8";

inline uint64_t StepWord(uint64_t crc, uint64_t word) { return __crc32cd(static_cast<uint32_t>(crc), word); }
inline uint64_t StepByte(uint64_t crc, uint8_t byte) { return __crc32cb(static_cast<uint32_t>(crc), byte); }
bool HasInstruction() { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }

#define QUADRING_HAS_CRC 1
#endif

#ifdef QUADRING_HAS_CRC

template <size_t kBytes>
QUADRING_CRC_TARGET inline uint64_t ThreeStreams(const ShiftTable<kBytes>& table, uint64_t crc, const uint8_t** bytes,
                                                 size_t* length) {
  while (*length >= 3 * kBytes) {
    const uint8_t* at = *bytes;
    uint64_t second = 0;
    uint64_t third = 0;
    for (const uint8_t* end = at + kBytes; at != end; at += 8) {
      crc = StepWord(crc, LoadWord(at));
      second = StepWord(second, LoadWord(at + kBytes));
      third = StepWord(third, LoadWord(at + 2 * kBytes));
    }
    crc = table.Shift(static_cast<uint32_t>(crc)) ^ second;
    crc = table.Shift(static_cast<uint32_t>(crc)) ^ third;
    *bytes += 3 * kBytes;
    *length -= 3 * kBytes;
  }
  return crc;
}

QUADRING_CRC_TARGET uint32_t Crc32cInstruction(uint32_t seed, const uint8_t* bytes, size_t length) {
  uint64_t crc = ~seed;
  crc &= 0xffffffff;
  // To a multiple of 8, so that no load crosses a cache line.
  for (; length > 0 && (reinterpret_cast<uintptr_t>(bytes) & 7) != 0; length--) crc = StepByte(crc, *bytes++);
  crc = ThreeStreams(kShiftLong, crc, &bytes, &length);
  crc = ThreeStreams(kShiftMiddle, crc, &bytes, &length);
  crc = ThreeStreams(kShiftShort, crc, &bytes, &length);
  for (; length >= 8; length -= 8, bytes += 8) crc = StepWord(crc, LoadWord(bytes));
  for (; length > 0; length--) crc = StepByte(crc, *bytes++);
  return ~static_cast<uint32_t>(crc);
}

#endif

}  // namespace

uint32_t Crc32cPortable(uint32_t seed, const uint8_t* bytes, size_t length) {
  const auto& table = kSlicing.entries;
  uint32_t crc = ~seed;
  for (; length >= 8; length -= 8, bytes += 8) {
    const uint64_t word = LoadWord(bytes) ^ crc;
    crc = table[7][word & 0xff] ^ table[6][word >> 8 & 0xff] ^
          table[5][word >> 16 & 0xff] ^ table[4][word >> 24 & 0xff] ^
          table[3][word >> 32 & 0xff] ^ table[2][word >> 40 & 0xff] ^
          table[1][word >> 48 & 0xff] ^ table[0][word >> 56];
  }
  for (; length > 0; length--) crc = crc >> 8 ^ table[0][(crc ^ *bytes++) & 0xff];
  return ~crc;
}

const Crc32cImplementation& Crc32cFastest() {
#ifdef QUADRING_HAS_CRC
  static const Crc32cImplementation fastest =
      HasInstruction() ? Crc32cImplementation{kInstructionName, Crc32cInstruction}
                       : Crc32cImplementation{"portable", Crc32cPortable};
#else
  static const Crc32cImplementation fastest = {"portable", Crc32cPortable};
#endif
  return fastest;
}

}  // namespace quadring
