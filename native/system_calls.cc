#include "system_calls.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "io_priority.h"

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

namespace quadring {
namespace {

/** A system call that signals interrupt more often than this in a row is reported as interrupted. */
constexpr int kInterruptionsMax = 1000;

/** Calls until it is not interrupted; gives its result, or a negative errno. */
template <typename Call>
int64_t Uninterrupted(Call call) {
  for (int attempt = 0; attempt < kInterruptionsMax; attempt++) {
    const int64_t result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
  return -EINTR;
}

int64_t CloseOnce(int descriptor) {
  // Not repeated: Linux has given the number back even when it says EINTR, and it may be somebody else's by now.
  return close(descriptor) == 0 || errno == EINTR ? 0 : -errno;
}

int64_t Write(const Operation& operation) {
  const auto offset = static_cast<off_t>(operation.offset);
  if ((operation.flags & kFlagDsync) == 0) {
    return Uninterrupted([&] { return pwrite(operation.file, operation.buffer, operation.length, offset); });
  }
  const iovec vector = {operation.buffer, operation.length};
  return Uninterrupted([&] { return pwritev2(operation.file, &vector, 1, offset, RWF_DSYNC); });
}

timespec Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now;
}

/** Until `microseconds` (less than a second) after `start`: a moment, so that interruptions make it no longer. */
int64_t SleepUntil(const timespec& start, uint32_t microseconds) {
  constexpr long kSecond = 1'000'000'000;
  timespec end = {start.tv_sec, start.tv_nsec + static_cast<long>(microseconds) * 1000};
  if (end.tv_nsec >= kSecond) {
    end.tv_sec++;
    end.tv_nsec -= kSecond;
  }
  return Uninterrupted([&] {
    // Gives the errno itself.
    errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, nullptr);
    return errno == 0 ? 0 : -1;
  });
}

bool WantsIdlePriority(const Operation& operation) {
  return (operation.flags & kFlagIdle) != 0 && (operation.opcode == kRead || operation.opcode == kWrite);
}

int64_t CarryOut(const Operation& operation, const timespec& turn_start) {
  const int file = operation.file;
  const auto offset = static_cast<off_t>(operation.offset);
  switch (operation.opcode) {
    case kRead:
      return Uninterrupted([&] { return pread(file, operation.buffer, operation.length, offset); });
    case kWrite:
      return Write(operation);
    case kFsync:
      if (operation.flags & kFlagDatasync) return Uninterrupted([&] { return fdatasync(file); });
      return Uninterrupted([&] { return fsync(file); });
    case kOpen: {
      const int flags = static_cast<int>(operation.length) | O_CLOEXEC;
      const auto mode = static_cast<mode_t>(operation.offset & 07777);
      return Uninterrupted([&] { return openat(file, operation.first_name, flags, mode); });
    }
    case kClose:
      return CloseOnce(file);
    case kFallocate: {
      const int mode = operation.flags & kFlagKeepSize ? FALLOC_FL_KEEP_SIZE : 0;
      return Uninterrupted([&] { return fallocate(file, mode, offset, static_cast<off_t>(operation.length)); });
    }
    case kRename:
      return Uninterrupted([&] { return renameat(file, operation.first_name, file, operation.second_name); });
    case kUnlink:
      return Uninterrupted([&] { return unlinkat(file, operation.first_name, 0); });
    case kFadvise:
      // Gives the errno itself.
      return -posix_fadvise(file, offset, static_cast<off_t>(operation.length),
                            static_cast<int>(operation.buffer_offset));
    case kTruncate:
      return Truncate(operation);
    case kTimeout:
      return SleepUntil(turn_start, operation.length);
    default:
      return 0;
  }
}

/**
 * What io_uring does, measured: a failed fsync, fallocate, rename or unlink does not stop the next one of a chain. But
 * a descriptor that is not open does: io_uring looks it up before the operation begins (rename and unlink look up their
 * directory themselves).
 */
bool SeversChain(const Operation& operation, int64_t result) {
  switch (operation.opcode) {
    case kFsync:
    case kFallocate:
      // EBADF alone is not enough: fallocate says the same of a file that is open for reading only.
      return result == -EBADF && fcntl(operation.file, F_GETFD) < 0;
    case kRead:
    case kWrite:
      return result != static_cast<int64_t>(operation.length);
    case kOpen:
    case kClose:
    case kFadvise:
      return result < 0;
    default:
      return false;
  }
}

}  // namespace

int32_t Truncate(const Operation& operation) {
  return static_cast<int32_t>(
      Uninterrupted([&] { return ftruncate(operation.file, static_cast<off_t>(operation.offset)); }));
}

Failure SystemCalls::Attach(uint32_t region, uint8_t* base, size_t length, FixedRange, uint32_t select_bytes) {
  regions_.Attach(region, base, length, select_bytes);
  return Failure{};
}

int SystemCalls::Turn(uint32_t count, uint32_t wait_microseconds) {
  if (count == 0) {
    if (wait_microseconds > 0) WaitForWakeUp(wait_microseconds);
    return failure_ ? -1 : 0;
  }
  batch_.Read(options_, regions_, count, options_.entries);
  const timespec turn_start = Now();
  int32_t* completion = options_.completions;
  bool in_severed_chain = false;
  for (const Operation& operation : batch_) {
    int64_t result = operation.refusal;
    int32_t buffer = kNoBuffer;
    if (result == 0) {
      if (in_severed_chain) {
        result = -ECANCELED;
      } else {
        SetIdlePriority(WantsIdlePriority(operation));
        if (operation.opcode == kClose) descriptors_.Closing(operation.file);
        result = CarryOut(operation, turn_start);
        if (operation.opcode == kOpen) descriptors_.Opened(static_cast<int>(result));
      }
      if (operation.select_bytes != 0) buffer = static_cast<int32_t>(operation.buffer_offset);
      in_severed_chain = operation.linked && (in_severed_chain || SeversChain(operation, result));
    }
    completion[0] = static_cast<int32_t>(operation.user_data);
    completion[1] = static_cast<int32_t>(result);
    completion[2] = buffer;
    completion += kCompletionWords;
  }
  return static_cast<int>(count);
}

/** Nothing is in flight here, so the eventfd is all that can end a wait. */
void SystemCalls::WaitForWakeUp(uint32_t wait_microseconds) {
  const uint32_t bounded = std::min(wait_microseconds, kWaitMicrosecondsMax);
  const timespec limit = {bounded / 1'000'000, static_cast<long>(bounded % 1'000'000) * 1000};
  pollfd poller = {options_.eventfd, POLLIN, 0};
  const int ready = ppoll(&poller, 1, &limit, nullptr);
  // An interrupted wait is one that ends early, which is always legal.
  if (ready <= 0) return;
  uint64_t wake_ups;
  const bool readable = (poller.revents & POLLIN) != 0;
  if (readable && read(options_.eventfd, &wake_ups, sizeof wake_ups) >= 0) return;
  failure_ = SystemFailure(readable ? errno : EBADF, "read", "the eventfd that ends waits cannot be read");
}

BackendDescription SystemCalls::Describe() const {
  BackendDescription description;
  description.entries = options_.entries;
  // There is no queue: a turn leaves as many completions as it had records.
  description.completion_entries = options_.entries;
  description.idle_priority_refusal = IdlePriorityRefusalText();
  return description;
}

Failure SystemCalls::Close() {
  SetIdlePriority(false);
  descriptors_.CloseAll();
  return Failure{};
}

}  // namespace quadring
