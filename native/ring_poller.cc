#include "ring_poller.h"

#include <cerrno>

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

namespace quadring {

std::string RingPoller::Open(const RingRequest& request) {
  const Failure failure = queue_.Open(request);
  if (failure) return "completions are not polled for: " + failure.message;
  open_ = true;
  return std::string();
}

void RingPoller::Prepare(const Operation& operation) {
  io_uring_sqe* entry = queue_.Next();
  PrepareTransfer(operation, fixed_, entry);
  entry->user_data = operation.user_data;
  counters_[kCounterPolled]++;
  in_flight_++;
}

void RingPoller::Close(bool drained) {
  if (!open_) return;
  open_ = false;
  if (drained) fixed_.Release(queue_.ring());
  queue_.Exit();
}

void PrepareTransfer(const Operation& operation, const FixedBuffers& fixed, io_uring_sqe* entry) {
  const int slot = fixed.Find(operation.region, operation.buffer_offset, operation.length);
  const bool read = operation.opcode == kRead;
  const int code =
      slot >= 0 ? (read ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED) : (read ? IORING_OP_READ : IORING_OP_WRITE);
  io_uring_prep_rw(code, entry, operation.file, operation.buffer, operation.length, operation.offset);
  if (slot >= 0) entry->buf_index = static_cast<uint16_t>(slot);
  if (!read && (operation.flags & kFlagDsync)) entry->rw_flags = RWF_DSYNC;
}

}  // namespace quadring
