// The entries of bench/support/overwritten-entries.ts, byte for byte; what they are made of is described there. Like there,
// words are made into bytes as they lie in memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace bench {

constexpr uint32_t kKeyWords = 4;

// A mix of 32 bits in which each result comes from one number only (the finalizer of MurmurHash3).
inline uint32_t Mix(uint32_t value) {
  value = (value ^ (value >> 16)) * 0x85ebca6b;
  value = (value ^ (value >> 13)) * 0xc2b2ae35;
  return value ^ (value >> 16);
}

class OverwrittenEntries {
 public:
  OverwrittenEntries(uint32_t count, uint32_t value_bytes, uint32_t seed)
      : count_(count), seed_(seed), value_(value_bytes / 4) {}

  uint32_t count() const { return count_; }
  size_t entry_bytes() const { return sizeof key_ + value_.size() * 4; }

  // Valid until the next call, as the value is.
  std::string_view Key(uint32_t number) {
    uint32_t word = number ^ seed_;
    for (uint32_t& part : key_) {
      word = Mix(word);
      part = word;
      word++;
    }
    return {reinterpret_cast<const char*>(key_), sizeof key_};
  }

  std::string_view Value(uint32_t number, uint32_t version) {
    value_[0] = number;
    value_[1] = version;
    uint32_t state = Mix(Mix(number ^ seed_) + version);
    if (state == 0) state = 1;
    for (size_t i = 2; i < value_.size(); i++) {
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      value_[i] = state;
    }
    return {reinterpret_cast<const char*>(value_.data()), value_.size() * 4};
  }

  // All numbers, each once, in an order of the round's own.
  template <typename Visit>
  void Order(uint32_t round, Visit visit) const {
    constexpr uint32_t kOrders[] = {0x9e3779b1, 0x85ebca6b, 0xc2b2ae35, 0x27d4eb2f, 0x165667b1};
    const uint32_t multiplier = kOrders[round % 5];
    uint32_t mask = 1;
    while (mask < count_ - 1) mask = mask << 1 | 1;
    const uint32_t start = Mix(round + 1);
    uint32_t i = 0;
    do {
      const uint32_t number = (i * multiplier + start) & mask;
      if (number < count_) visit(number);
    } while (i++ != mask);
  }

 private:
  uint32_t count_;
  uint32_t seed_;
  uint32_t key_[kKeyWords];
  std::vector<uint32_t> value_;
};

inline uint32_t HashWords(std::string_view bytes, uint32_t hash) {
  for (size_t at = 0; at + 4 <= bytes.size(); at += 4) {
    uint32_t word;
    memcpy(&word, bytes.data() + at, 4);
    hash = (hash ^ word) * 0x9e3779b1;
    hash ^= hash >> 15;
  }
  return hash;
}

// The sum of these over all entries does not depend on their order.
inline uint32_t HashEntry(std::string_view key, std::string_view value) {
  return HashWords(value, HashWords(key, 1));
}

}  // namespace bench
