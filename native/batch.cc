#include "batch.h"

#include <cerrno>
#include <climits>
#include <cstring>

namespace quadring {
namespace {

/** Whether the operation may not be a member of a chain. */
bool StandsAlone(const Operation& operation) {
  return (operation.flags & (kFlagSelect | kFlagPolled)) != 0 || operation.opcode == kTimeout || operation.opcode == kTruncate;
}

}  // namespace

void Batch::Read(const BackendOptions& arrays, const Regions& regions, uint32_t count, uint32_t chain_max) {
  count_ = count;
  uint32_t index = 0;
  while (index < count) {
    const uint32_t chain_start = index;
    bool refused = false;
    bool linked;
    do {
      Operation* operation = &operations_[index];
      Decode(arrays, regions, index, operation);
      if (index > chain_start && StandsAlone(*operation)) operation->refusal = -EINVAL;
      if (index - chain_start >= chain_max) operation->refusal = -EINVAL;
      index++;
      // A chain ends with the batch: without this, the next thing submitted would be tied to it.
      if (index == count) operation->linked = false;
      linked = operation->linked;
      refused |= operation->refusal != 0;
    } while (linked);
    if (!refused) continue;
    for (uint32_t member = chain_start; member < index; member++) {
      if (operations_[member].refusal == 0) operations_[member].refusal = -ECANCELED;
    }
  }
}

void Batch::Decode(const BackendOptions& arrays, const Regions& regions, uint32_t index, Operation* operation) {
  Record record;
  memcpy(&record, arrays.records + size_t{index} * kRecordWords, sizeof record);
  operation->opcode = record.opcode;
  operation->file = record.file;
  operation->buffer = nullptr;
  operation->length = record.length;
  operation->region = record.flags & kRegionMask;
  operation->buffer_offset = record.buffer_offset;
  operation->select_bytes = 0;
  operation->offset = uint64_t{record.offset_high} << 32 | record.offset_low;
  operation->user_data = record.user_data;
  operation->flags = record.flags;
  operation->linked = (record.flags & kFlagLink) != 0;
  operation->refusal = 0;

  const bool selects = (record.flags & kFlagSelect) != 0;
  const bool polled = (record.flags & kFlagPolled) != 0;
  bool valid = (record.flags & ~kKnownFlags) == 0 && (!selects || record.opcode == kRead) &&
               (!polled || record.opcode == kRead || record.opcode == kWrite) &&
               !(operation->linked && StandsAlone(*operation));
  switch (record.opcode) {
    case kNop:
    case kFsync:
    case kClose:
      break;
    case kRead:
    case kWrite:
      operation->buffer = regions.Locate(operation->region, record.buffer_offset, record.length);
      // An offset of -1 would mean "at the file's own position" to io_uring, and no other negative one is legal.
      valid = valid && operation->buffer != nullptr && record.length <= INT_MAX && operation->offset <= INT64_MAX;
      if (selects) {
        const uint32_t lent = regions.select_bytes(operation->region);
        // A length of 0 would mean "all of the buffer" to io_uring.
        valid = valid && record.length > 0 && record.length <= lent &&
                uint64_t{record.buffer_offset} + lent <= kSelectEndMax &&
                regions.Locate(operation->region, record.buffer_offset, lent) != nullptr;
        operation->select_bytes = lent;
      }
      break;
    case kFallocate:
    case kFadvise:
    case kTruncate:
      valid = valid && operation->offset <= INT64_MAX;
      break;
    case kTimeout:
      valid = valid && record.length <= kTimeoutMicrosecondsMax;
      break;
    case kOpen:
    case kUnlink:
    case kRename: {
      const uint8_t* names = arrays.names + size_t{index} * kNameStride;
      char* copies = names_.data() + size_t{index} * kNameStride;
      valid = valid && CopyName(names, copies);
      if (record.opcode == kRename) valid = valid && CopyName(names + kNameBytes, copies + kNameBytes);
      operation->first_name = copies;
      operation->second_name = copies + kNameBytes;
      break;
    }
    default:
      valid = false;
  }
  if (!valid) operation->refusal = -EINVAL;
}

bool Batch::CopyName(const uint8_t* from, char* to) const {
  memcpy(to, from, kNameBytes);
  return memchr(to, '\0', kNameBytes) != nullptr;
}

}  // namespace quadring
