// Operations made into entries of the submission queue. The rest of the class is in ring.cc.
#include <fcntl.h>

#include <cstring>

#include "io_priority.h"
#include "ring.h"
#include "ring_notes.h"

namespace quadring {
namespace {

/** Whether its file may be a slot of the ring's table. Of the others it is a directory's descriptor, or none. */
bool UsesFile(uint32_t opcode) {
  switch (opcode) {
    case kRead:
    case kWrite:
    case kFsync:
    case kFallocate:
    case kFadvise:
    case kTruncate:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Ring::Prepare(const Operation& operation) {
  io_uring_sqe* entry = queue_.Next();
  uint32_t note = kNoteNothing;
  switch (operation.opcode) {
    case kRead:
    case kWrite:
      note = PrepareRead(operation, entry);
      if (operation.flags & kFlagAsync) entry->flags |= IOSQE_ASYNC;
      if ((operation.flags & kFlagIdle) && IdlePriorityRefusal() == 0) entry->ioprio = kIdlePriority;
      break;
    case kFsync:
      io_uring_prep_fsync(entry, operation.file, operation.flags & kFlagDatasync ? IORING_FSYNC_DATASYNC : 0);
      break;
    case kOpen:
      note = PrepareOpen(operation, entry);
      break;
    case kClose:
      note = PrepareClose(operation, entry);
      break;
    case kFallocate:
      io_uring_prep_fallocate(entry, operation.file, operation.flags & kFlagKeepSize ? FALLOC_FL_KEEP_SIZE : 0,
                              static_cast<off_t>(operation.offset), static_cast<off_t>(operation.length));
      break;
    case kRename:
      io_uring_prep_renameat(entry, operation.file, KeepName(entry, operation.first_name, 0), operation.file,
                             KeepName(entry, operation.second_name, 1), 0);
      break;
    case kUnlink:
      io_uring_prep_unlinkat(entry, operation.file, KeepName(entry, operation.first_name, 0), 0);
      break;
    case kFadvise:
      io_uring_prep_fadvise(entry, operation.file, operation.offset, static_cast<off_t>(operation.length),
                            static_cast<int>(operation.buffer_offset));
      break;
    case kTruncate:
      io_uring_prep_rw(kOperationTruncate, entry, operation.file, nullptr, 0, operation.offset);
      break;
    case kTimeout:
      PrepareTimeout(operation, entry);
      note = kNoteTimeout;
      break;
    default:
      io_uring_prep_nop(entry);
  }
  if (FixedFiles::IsHandle(operation.file) && UsesFile(operation.opcode)) UseSlot(operation, entry);
  if (operation.linked) entry->flags |= IOSQE_IO_LINK;
  entry->user_data = uint64_t{note} << kNoteShift | operation.user_data;
  in_flight_++;
}

/** Directories are named by descriptors, and so opened as such. Returns the note for its completion. */
uint32_t Ring::PrepareOpen(const Operation& operation, io_uring_sqe* entry) {
  const char* name = KeepName(entry, operation.first_name, 0);
  const int flags = static_cast<int>(operation.length);
  const auto mode = static_cast<mode_t>(operation.offset & 07777);
  const int slot = flags & O_DIRECTORY ? -1 : files_.Take();
  if (slot < 0) {
    io_uring_prep_openat(entry, operation.file, name, flags | O_CLOEXEC, mode);
    return kNoteOpen;
  }
  // Nothing else inherits a slot; the kernel refuses to be told to close one on exec.
  const auto place = static_cast<uint32_t>(slot);
  io_uring_prep_openat_direct(entry, operation.file, name, flags & ~O_CLOEXEC, mode, place);
  return kNoteSlots + place;
}

/** Likewise. */
uint32_t Ring::PrepareClose(const Operation& operation, io_uring_sqe* entry) {
  if (files_.StartClosing(operation.file)) {
    const uint32_t slot = FixedFiles::SlotOf(operation.file);
    io_uring_prep_close_direct(entry, slot);
    return kNoteSlots + slot;
  }
  // A handle with nothing behind it is no descriptor either.
  descriptors_.Closing(operation.file);
  io_uring_prep_close(entry, operation.file);
  return kNoteNothing;
}

void Ring::UseSlot(const Operation& operation, io_uring_sqe* entry) {
  entry->fd = static_cast<int>(FixedFiles::SlotOf(operation.file));
  entry->flags |= IOSQE_FIXED_FILE;
  options_.counters[kCounterFixedFile]++;
}

/** The note for its completion. */
uint32_t Ring::PrepareRead(const Operation& operation, io_uring_sqe* entry) {
  if (operation.select_bytes != 0 && PrepareSelectingRead(operation, entry)) return kNoteNothing;
  PrepareTransfer(operation, fixed_, entry);
  return operation.select_bytes != 0 ? operation.buffer_offset + 1 : kNoteNothing;
}

/** False: nothing can be lent, and nothing was prepared. */
bool Ring::PrepareSelectingRead(const Operation& operation, io_uring_sqe* entry) {
  if (!provided_.Lend(operation.buffer, operation.select_bytes, operation.buffer_offset)) return false;
  io_uring_prep_rw(IORING_OP_READ, entry, operation.file, nullptr, operation.length, operation.offset);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = ProvidedBuffers::kGroup;
  return true;
}

void Ring::PrepareTimeout(const Operation& operation, io_uring_sqe* entry) {
  __kernel_timespec* limit = &kept_[queue_.PlaceOf(entry)].timeout;
  limit->tv_sec = 0;
  limit->tv_nsec = int64_t{operation.length} * 1000;
  io_uring_prep_timeout(entry, limit, 0, 0);
}

void Ring::ArmWakeUp() {
  io_uring_sqe* entry = queue_.Next();
  io_uring_prep_read(entry, options_.eventfd, wake_up_value_.get(), sizeof *wake_up_value_, 0);
  entry->user_data = kWakeUpUserData;
  internal_in_flight_++;
  wake_up_armed_ = true;
}

void Ring::Cancel(uint64_t user_data, uint32_t flags) {
  if (!MakeRoom()) return;
  io_uring_sqe* entry = queue_.Next();
  io_uring_prep_rw(IORING_OP_ASYNC_CANCEL, entry, -1, nullptr, 0, 0);
  entry->addr = user_data;
  entry->cancel_flags = flags;
  entry->user_data = kCancelUserData;
  internal_in_flight_++;
}

/** A copy of the name that lives as long as the entry. `which` is 0 or 1. */
const char* Ring::KeepName(const io_uring_sqe* entry, const char* name, size_t which) {
  char* kept = kept_[queue_.PlaceOf(entry)].names + which * kNameBytes;
  memcpy(kept, name, kNameBytes);
  return kept;
}

}  // namespace quadring
