// The record that JavaScript writes and the addon reads: 8 words of 32 bits. The one other description of this layout
// is src/workers/ring.ts; the two must agree.
//
//     ┌────────┬──────┬───────────────┬────────┬────────────┬─────────────┬───────────┬────────────────┐
//     │ opcode │ file │ buffer offset │ length │ offset low │ offset high │ user data │ flags | region │
//     └────────┴──────┴───────────────┴────────┴────────────┴─────────────┴───────────┴────────────────┘
//
// A completion has 3 words: user data; the result as the system call would give it (or a negative errno); and, for a
// read with kFlagSelect, the offset in its region of the buffer that was read into, otherwise -1.
#ifndef QUADRING_RECORD_H
#define QUADRING_RECORD_H

#include <cstddef>
#include <cstdint>

namespace quadring {

struct Record {
  uint32_t opcode;
  int32_t file;
  uint32_t buffer_offset;
  uint32_t length;
  uint32_t offset_low;
  uint32_t offset_high;
  uint32_t user_data;
  uint32_t flags;
};
static_assert(sizeof(Record) == 32, "JavaScript writes 8 words");

enum Opcode : uint32_t {
  kNop = 0,
  kRead = 1,
  kWrite = 2,
  kFsync = 3,
  kOpen = 4,
  kClose = 5,
  kFallocate = 6,
  kRename = 7,
  kUnlink = 8,
  /** The buffer offset is the advice. */
  kFadvise = 9,
  /** The length is in microseconds. */
  kTimeout = 10,
  /** The offset is the file's new size. */
  kTruncate = 11,
};

constexpr uint32_t kRegionMask = 0xff;
constexpr uint32_t kFlagLink = 1u << 8;
constexpr uint32_t kFlagDsync = 1u << 9;
constexpr uint32_t kFlagDatasync = 1u << 10;
constexpr uint32_t kFlagKeepSize = 1u << 11;
constexpr uint32_t kFlagSelect = 1u << 12;
constexpr uint32_t kFlagAsync = 1u << 13;
constexpr uint32_t kFlagIdle = 1u << 14;
constexpr uint32_t kFlagPolled = 1u << 15;
constexpr uint32_t kKnownFlags = kRegionMask | kFlagLink | kFlagDsync | kFlagDatasync | kFlagKeepSize | kFlagSelect |
                                 kFlagAsync | kFlagIdle | kFlagPolled;

constexpr size_t kRecordWords = 8;
constexpr size_t kCompletionWords = 3;
constexpr int32_t kNoBuffer = -1;
/** Buffers of reads that select lie below this offset, so that a completion's word can name them. */
constexpr uint32_t kSelectEndMax = INT32_MAX;
/** A record's two names: each at most 63 bytes and a NUL. */
constexpr size_t kNameStride = 128;
constexpr size_t kNameBytes = 64;

constexpr uint32_t kEntriesMin = 8;
constexpr uint32_t kEntriesMax = 256;
/** `completions` holds at least this many for each entry. */
constexpr uint32_t kCompletionsPerEntry = 4;

/** A wait ends after this long at the latest: a thread inside the addon holds up process.exit and worker.terminate. */
constexpr uint32_t kWaitMicrosecondsMax = 1'000'000;
/** The longest kTimeout, for the same reason: class SystemCalls sleeps in it. Less than a second. */
constexpr uint32_t kTimeoutMicrosecondsMax = 100'000;

}  // namespace quadring

#endif
