// How entries get to the kernel.
//
// ENTERING (the usual case)
//   One system call submits, waits and delivers completions. It may take less than everything where memory is short: it is
//   then tried again, within a bound. Between two members of a chain that would let the rest run on its own: that is final.
//
// POLLING (IORING_SETUP_SQPOLL)
//   A thread of the kernel takes entries as soon as they are published; it is entered only to be woken when it has gone to
//   sleep, and to wait for completions. So entries are taken at any time later, and what they point to must stay. The thread
//   takes eight entries of a ring at a time where it serves more than one, whatever is linked: a chain that does not begin
//   with the first of eight is cut (measured on Linux 6.18: every chain across such a border). So whoever makes chains publishes
//   each alone, with SubmitAndSettle before and behind it, and makes none that is longer.
#include "ring_queue.h"

#include <sched.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include "clock.h"

namespace quadring {
namespace {

/** How often the kernel may take less than everything, or nothing for lack of memory, before that is an error. */
constexpr int kSubmitAttemptsMax = 1000;
/** How long the kernel's thread may take to take what was published. It shares its core with others. */
constexpr int64_t kTakeMillisecondsMax = 10'000;

}  // namespace

int RingQueue::Submit(uint32_t completions_min, uint32_t wait_microseconds) {
  // Before anything is published: a thread of the kernel takes that at once.
  owner_.Require("submission");
  io_uring_smp_store_release(setup_.ring.sq.ktail, setup_.ring.sq.sqe_tail);
  return is_polled() ? SubmitByPolling(completions_min, wait_microseconds)
                     : SubmitByEntering(completions_min, wait_microseconds);
}

int RingQueue::SubmitAndSettle() {
  if (const int error = Submit(0, 0)) return error;
  if (Untaken() == 0) return 0;
  for (const int64_t start = NowMilliseconds(); Untaken() > 0; sched_yield()) {
    if (NowMilliseconds() - start > kTakeMillisecondsMax) return ETIMEDOUT;
    // It may have gone to sleep just before it could see what was published.
    if (const int error = SubmitByPolling(0, 0)) return error;
  }
  return 0;
}

int RingQueue::SubmitByEntering(uint32_t completions_min, uint32_t wait_microseconds) {
  int error_number = EAGAIN;
  for (int attempt = 0; attempt < kSubmitAttemptsMax; attempt++) {
    const uint32_t submissions = Untaken();
    const int result = Enter(submissions, completions_min, wait_microseconds, 0);
    if (result >= 0) {
      if (static_cast<uint32_t>(result) == submissions) return 0;
      // Less than everything. Inside a chain that means that its rest would run on its own: better not at all.
      if (ChainWasCut()) return EAGAIN;
      continue;
    }
    error_number = -result;
    switch (error_number) {
      case ETIME:
        // The wait was as long as it may be.
        return 0;
      case EINTR:
        // A signal. Waiting: so the wait ends early. Submitting: nothing was taken, the next attempt takes it.
        if (submissions == 0) return 0;
        continue;
      case EAGAIN:
        // No memory for requests at this moment, or a resource that completions give back.
        sched_yield();
        continue;
      // EBADF, EBADFD, EOPNOTSUPP: the descriptor is not our ring. EBADR: completions were dropped. EBUSY: the
      // completion queue overflowed, which the accounting excludes. EEXIST: a second thread. EFAULT, EINVAL: a defect
      // here. ENXIO: torn down under us. None of them gets better by trying again.
      default:
        return error_number;
    }
  }
  return error_number;
}

int RingQueue::SubmitByPolling(uint32_t completions_min, uint32_t wait_microseconds) {
  const bool wakes = PollThreadSleeps();
  if (!wakes && completions_min == 0) return 0;
  if (wakes) counters_[kCounterPollWakeUps]++;
  const int result = Enter(0, completions_min, wait_microseconds, wakes ? IORING_ENTER_SQ_WAKEUP : 0);
  if (result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN) return 0;
  // The thread is gone, and with it whatever it had not taken.
  poll_thread_died_ = result == -EOWNERDEAD;
  return -result;
}

bool RingQueue::PollThreadSleeps() const {
  // What was published must be visible before it is asked whether anybody is awake to see it.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return (__atomic_load_n(setup_.ring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_NEED_WAKEUP) != 0;
}

int RingQueue::Enter(uint32_t submissions, uint32_t completions_min, uint32_t wait_microseconds, uint32_t flags) {
  owner_.Require("entry");
  counters_[kCounterEnters]++;
  // GETEVENTS always: with DEFER_TASKRUN completions are delivered only while this thread is in the kernel asking.
  flags |= IORING_ENTER_GETEVENTS;
  if (setup_.registered_descriptor) flags |= IORING_ENTER_REGISTERED_RING;
  io_uring* ring = &setup_.ring;
  if (completions_min == 0) {
    return io_uring_enter(static_cast<unsigned>(ring->enter_ring_fd), submissions, 0, flags, nullptr);
  }
  __kernel_timespec limit;
  limit.tv_sec = wait_microseconds / 1'000'000;
  limit.tv_nsec = int64_t{wait_microseconds % 1'000'000} * 1000;
  io_uring_getevents_arg argument = {};
  argument.sigmask_sz = _NSIG / 8;
  argument.ts = reinterpret_cast<uintptr_t>(&limit);
  return io_uring_enter2(static_cast<unsigned>(ring->enter_ring_fd), submissions, completions_min,
                         flags | IORING_ENTER_EXT_ARG, reinterpret_cast<sigset_t*>(&argument), sizeof argument);
}

bool RingQueue::ChainWasCut() const {
  const io_uring_sq& queue = setup_.ring.sq;
  const uint32_t last_taken = io_uring_smp_load_acquire(queue.khead) - 1;
  return (queue.sqes[last_taken & queue.ring_mask].flags & IOSQE_IO_LINK) != 0;
}

}  // namespace quadring
