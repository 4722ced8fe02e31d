// The addon's parts that take bytes and know no JavaScript, for libFuzzer: records and names as Batch reads them, and
// checksums. `npm run fuzz:native` compiles and runs it. (LZ4 is the library's own; what the addon adds to it are checks of
// JavaScript's arguments, which test/support/fuzz/native-targets.ts fuzzes from there.)
#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "batch.h"
#include "checksum.h"

namespace {

using quadring::Operation;

constexpr uint32_t kEntries = 8;
constexpr size_t kRegionBytes = 1 << 16;

void Expect(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  abort();
}

/** Takes the input apart; what is missing is zero. */
class Input {
 public:
  Input(const uint8_t* bytes, size_t length) : bytes_(bytes), length_(length) {}

  template <typename Value>
  Value Take() {
    Value value = {};
    Copy(&value, sizeof value);
    return value;
  }

  void Copy(void* target, size_t length) {
    const size_t there = std::min(length, length_);
    memcpy(target, bytes_, there);
    bytes_ += there;
    length_ -= there;
  }

  const uint8_t* bytes() const { return bytes_; }
  size_t length() const { return length_; }

 private:
  const uint8_t* bytes_;
  size_t length_;
};

bool IsWithin(const Operation& operation, uint64_t length, const std::vector<uint8_t>& memory) {
  const uint8_t* end = memory.data() + memory.size();
  return operation.buffer >= memory.data() && operation.buffer <= end &&
         length <= static_cast<uint64_t>(end - operation.buffer);
}

void CheckTransfer(const Operation& operation, const std::vector<uint8_t>& memory) {
  Expect(operation.length <= INT_MAX, "a transfer is no longer than an int");
  Expect(operation.offset <= INT64_MAX, "an offset is not negative");
  Expect(operation.region == 0, "only region 0 is attached");
  Expect(IsWithin(operation, operation.length, memory), "a transfer lies in its region");
  if ((operation.flags & quadring::kFlagSelect) == 0) return;
  Expect(operation.opcode == quadring::kRead && operation.length > 0, "only reads select");
  Expect(operation.length <= operation.select_bytes, "what is selected holds it");
  Expect(IsWithin(operation, operation.select_bytes, memory), "what is lent lies in its region");
}

/** Whether a chain that a refused operation is in was refused as a whole, and no other one is too long. */
void CheckChains(const quadring::Batch& batch, uint32_t chain_max) {
  const Operation* start = batch.begin();
  for (const Operation* operation = start; operation != batch.end(); operation++) {
    if (operation->linked) {
      Expect(operation + 1 != batch.end(), "the last one is linked to nothing");
      continue;
    }
    const bool refused = std::any_of(start, operation + 1, [](const Operation& one) { return one.refusal != 0; });
    const bool all = std::all_of(start, operation + 1, [](const Operation& one) { return one.refusal != 0; });
    Expect(refused == all, "a chain is refused as a whole");
    Expect(refused || operation + 1 - start <= chain_max, "a chain is no longer than it may be");
    start = operation + 1;
  }
}

void CheckBatch(Input input) {
  std::vector<int32_t> records(kEntries * quadring::kRecordWords);
  std::vector<uint8_t> names(kEntries * quadring::kNameStride);
  std::vector<uint8_t> memory(kRegionBytes);
  quadring::BackendOptions options;
  options.entries = kEntries;
  const uint32_t count = input.Take<uint8_t>() % (kEntries + 1);
  const uint32_t select_bytes = input.Take<uint8_t>() % 4 * 4096;
  const uint32_t chain_max = 1 + input.Take<uint8_t>() % kEntries;
  input.Copy(records.data(), count * quadring::kRecordWords * sizeof(int32_t));
  input.Copy(names.data(), names.size());
  options.records = records.data();
  options.names = names.data();
  quadring::Regions regions;
  regions.Attach(0, memory.data(), memory.size(), select_bytes);
  quadring::Batch batch(kEntries);
  batch.Read(options, regions, count, chain_max);
  Expect(batch.end() - batch.begin() == count, "each record is an operation");
  for (const Operation& operation : batch) {
    Expect(operation.refusal == 0 || operation.refusal == -EINVAL || operation.refusal == -ECANCELED, "an errno");
    if (operation.refusal != 0) continue;
    Expect((operation.flags & ~quadring::kKnownFlags) == 0, "flags are known");
    switch (operation.opcode) {
      case quadring::kRead:
      case quadring::kWrite:
        CheckTransfer(operation, memory);
        break;
      case quadring::kRename:
        Expect(strlen(operation.second_name) < quadring::kNameBytes, "a second name ends");
        [[fallthrough]];
      case quadring::kOpen:
      case quadring::kUnlink:
        Expect(strlen(operation.first_name) < quadring::kNameBytes, "a name ends");
        break;
      default:
        Expect(operation.opcode <= quadring::kTruncate, "an operation is known");
    }
  }
  CheckChains(batch, chain_max);
}

void CheckChecksum(Input input) {
  const auto seed = input.Take<uint32_t>();
  const size_t cut = input.Take<uint16_t>() % (input.length() + 1);
  // Memory of exactly that length, so that one byte beyond it is seen.
  const std::vector<uint8_t> bytes(input.bytes(), input.bytes() + input.length());
  const auto fastest = quadring::Crc32cFastest().function;
  const uint32_t whole = fastest(seed, bytes.data(), bytes.size());
  Expect(whole == quadring::Crc32cPortable(seed, bytes.data(), bytes.size()), "both implementations agree");
  const uint32_t first = fastest(seed, bytes.data(), cut);
  Expect(whole == fastest(first, bytes.data() + cut, bytes.size() - cut), "checksums chain");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  Input input(bytes, length);
  if (input.Take<uint8_t>() % 4 == 0) {
    CheckChecksum(input);
  } else {
    CheckBatch(input);
  }
  return 0;
}
