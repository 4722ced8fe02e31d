// The two queues of one io_uring, and the system call between them. See ring_queue.cc for what polling changes.
#ifndef QUADRING_RING_QUEUE_H
#define QUADRING_RING_QUEUE_H

#include <liburing.h>

#include <cstddef>
#include <cstdint>

#include "errors.h"
#include "owner_thread.h"
#include "ring_setup.h"

namespace quadring {

/** What is counted for the caller, who may read it from another thread. Doubles, because JavaScript shares those. */
enum Counter : uint32_t {
  /** Times that the kernel was entered. */
  kCounterEnters = 0,
  /** Of these, to wake the kernel's thread that polls for submissions. */
  kCounterPollWakeUps = 1,
  /** Operations whose completion was polled for. */
  kCounterPolled = 2,
  /** Operations whose file was a slot of the ring's table. */
  kCounterFixedFile = 3,
  kCounters = 4,
};

/** IORING_SQ_TASKRUN, which older headers do not name. */
constexpr unsigned kTaskWorkWaits = 1U << 2;

class RingQueue {
 public:
  /** Of the calling thread, and no other. `counters` has kCounters of them and outlives the queue. */
  explicit RingQueue(double* counters) : counters_(counters) {}

  Failure Open(const RingRequest& request) {
    owner_.Require("set-up");
    return OpenRing(request, &setup_);
  }
  /** REQUIRES: nothing is in flight, or the memory that the kernel may still write to is never given back. */
  void Exit() {
    owner_.Require("giving back");
    io_uring_queue_exit(&setup_.ring);
  }

  const RingSetup& setup() const { return setup_; }
  /** For registrations. */
  io_uring* ring() {
    owner_.Require("registration");
    return &setup_.ring;
  }
  /** Whether a thread of the kernel takes what is submitted. */
  bool is_polled() const { return (setup_.flags & IORING_SETUP_SQPOLL) != 0; }

  /** Entries that the kernel has not taken. */
  uint32_t Untaken() const { return setup_.ring.sq.sqe_tail - io_uring_smp_load_acquire(setup_.ring.sq.khead); }
  /** REQUIRES: Untaken() < entries. */
  io_uring_sqe* Next() { return io_uring_get_sqe(&setup_.ring); }
  /** Of an entry, below `entries`. What is kept by it is good until the kernel has taken the entry. */
  size_t PlaceOf(const io_uring_sqe* entry) const { return static_cast<size_t>(entry - setup_.ring.sq.sqes); }

  bool HasCompletions() const {
    return *setup_.ring.cq.khead != io_uring_smp_load_acquire(setup_.ring.cq.ktail);
  }

  /** With TASKRUN_FLAG: whether completions wait for this thread to enter the kernel. */
  bool HasTaskWork() const { return (IO_URING_READ_ONCE(*setup_.ring.sq.kflags) & kTaskWorkWaits) != 0; }

  /**
   * Hands everything prepared to the kernel and, where asked to, waits for that many completions. 0, or an errno that is
   * final: nothing can be submitted any more.
   */
  int Submit(uint32_t completions_min, uint32_t wait_microseconds);
  /** Likewise, and returns when the kernel has taken everything. */
  int SubmitAndSettle();

  /** Calls `take` for each completion, oldest first, until it returns false: that one and all behind it stay. */
  template <typename Take>
  void Reap(Take take) {
    io_uring_cq* queue = &setup_.ring.cq;
    const uint32_t tail = io_uring_smp_load_acquire(queue->ktail);
    uint32_t head = *queue->khead;
    for (; head != tail; head++) {
      if (!take(queue->cqes[head & queue->ring_mask])) break;
    }
    io_uring_smp_store_release(queue->khead, head);
  }

  /** After an error: calls `lost` with the user data of each entry that the kernel will never take. */
  template <typename Lost>
  void TakeBack(Lost lost) {
    // The kernel's thread may still be at work on them, and then they complete.
    if (is_polled() && !poll_thread_died_) return;
    io_uring_sq* queue = &setup_.ring.sq;
    const uint32_t head = io_uring_smp_load_acquire(queue->khead);
    for (uint32_t position = head; position != queue->sqe_tail; position++) {
      lost(queue->sqes[position & queue->ring_mask].user_data);
    }
    queue->sqe_tail = head;
    io_uring_smp_store_release(queue->ktail, head);
  }

 private:
  int SubmitByEntering(uint32_t completions_min, uint32_t wait_microseconds);
  int SubmitByPolling(uint32_t completions_min, uint32_t wait_microseconds);
  int Enter(uint32_t submissions, uint32_t completions_min, uint32_t wait_microseconds, uint32_t flags);
  bool ChainWasCut() const;
  bool PollThreadSleeps() const;

  const OwnerThread owner_;
  double* counters_;
  RingSetup setup_;
  bool poll_thread_died_ = false;
};

}  // namespace quadring

#endif
