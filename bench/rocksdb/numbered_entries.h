// The entries of bench/support/numbered-entries.ts, byte for byte; what they are made of is described there. Little-endian
// machines only, where numbers are made into bytes as they lie in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "program.h"

namespace bench {

constexpr size_t kKeyBytes = 16;
constexpr size_t kKeyNumberAt = 12;

inline uint32_t NumberAt(std::string_view bytes, size_t at) {
  uint32_t number;
  memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

inline bool IsKeyOf(std::string_view key, uint32_t number) {
  return key.size() == kKeyBytes && NumberAt(key, kKeyNumberAt) == number;
}

// Entries of as many numbers, in the order of their keys.
class NumberedEntries {
 public:
  NumberedEntries(uint64_t count, uint64_t value_bytes)
      : count_(count), value_bytes_(value_bytes), step_(count == 0 ? 0 : kHexSpan / count) {
    if (count < 1 || count > kEntriesMax) Fail("no number of entries: " + std::to_string(count));
    if (value_bytes < kValueBytesMin) Fail("values of too few bytes: " + std::to_string(value_bytes));
    MakeFiller();
  }

  uint64_t count() const { return count_; }
  size_t value_bytes() const { return value_bytes_; }

  // Into kKeyBytes bytes. REQUIRES: a number below the count.
  void WriteKey(char* key, uint32_t number) const {
    const uint32_t scattered = number * kScatter;
    uint64_t place = number * step_ + scattered % step_;
    for (size_t at = kKeyHexDigits; at-- > 0; place >>= 4) key[at] = "0123456789abcdef"[place & 0xf];
    memcpy(key + kKeyHexDigits, ":no:", kKeyNumberAt - kKeyHexDigits);
    memcpy(key + kKeyNumberAt, &number, sizeof number);
  }

  // Into value_bytes() bytes.
  void WriteValue(char* value, uint32_t number, uint32_t version) const {
    memcpy(value, &filler_[number * kFillerStride % kFillerBytes], value_bytes_);
    memcpy(value, &number, sizeof number);
    memcpy(value + sizeof number, &version, sizeof version);
    value[value_bytes_ - 1] = static_cast<char>(number);
  }

  // In whatever version.
  bool IsValueOf(std::string_view value, uint32_t number) const {
    return value.size() == value_bytes_ && NumberAt(value, 0) == number &&
           value[value_bytes_ - 1] == static_cast<char>(number);
  }

 private:
  static constexpr size_t kKeyHexDigits = 8;
  static constexpr uint64_t kHexSpan = uint64_t{1} << 32;
  static constexpr uint64_t kEntriesMax = uint64_t{1} << 28;
  static constexpr uint64_t kValueBytesMin = 9;
  static constexpr uint32_t kScatter = 0x9e3779b1;
  static constexpr size_t kFillerBytes = 65536;
  static constexpr uint64_t kFillerStride = 97;

  void MakeFiller() {
    filler_.resize(kFillerBytes + value_bytes_);
    uint32_t state = 7;
    for (char& byte : filler_) {
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      byte = static_cast<char>(state);
    }
  }

  uint64_t count_;
  size_t value_bytes_;
  uint64_t step_;
  std::vector<char> filler_;
};

// Counts what a scan from number 0 on gives and holds every 16th entry, the first and the last against the number that must
// come there, as numbered-entries.ts does.
class ScanCheck {
 public:
  ScanCheck(const NumberedEntries& entries, uint64_t count) : entries_(entries), left_(count) {}

  void Entry(std::string_view key, std::string_view value) {
    const bool is_checked = left_ % kCheckedOneIn == 1 || next_ == 0;
    if (is_checked && !(IsKeyOf(key, next_) && entries_.IsValueOf(value, next_))) {
      Fail("entry " + std::to_string(next_) + " should have come, and something else did");
    }
    next_++;
    left_--;
  }

  void Finish() const {
    if (left_ != 0) Fail("entries were too few or too many; " + std::to_string(next_) + " would be next");
  }

 private:
  static constexpr uint64_t kCheckedOneIn = 16;

  const NumberedEntries& entries_;
  uint32_t next_ = 0;
  uint64_t left_;
};

}  // namespace bench
