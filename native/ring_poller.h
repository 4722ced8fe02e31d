// A second ring beside the first one, whose completions are polled for (IORING_SETUP_IOPOLL): no interrupt, and nobody is woken.
//
// It takes reads and writes with O_DIRECT of disks that have queues for it, and nothing else: the kernel refuses all other
// operations there, and says EOPNOTSUPP of files whose disk cannot. Whoever waits for it is at work: the kernel asks the disk
// again and again, until something has completed, a signal comes, or another thread wants the core.
#ifndef QUADRING_RING_POLLER_H
#define QUADRING_RING_POLLER_H

#include <cstddef>
#include <cstdint>
#include <string>

#include "batch.h"
#include "fixed_buffers.h"
#include "ring_queue.h"

namespace quadring {

class RingPoller {
 public:
  explicit RingPoller(double* counters) : counters_(counters), queue_(counters) {}

  /** Empty: it is there. Otherwise why not, in words for people. */
  std::string Open(const RingRequest& request);
  bool is_open() const { return open_; }
  const RingSetup& setup() const { return queue_.setup(); }

  /** As FixedBuffers::Attach. */
  void Attach(uint32_t region, size_t region_offset, uint8_t* base, uint32_t slices) {
    if (open_) fixed_.Attach(queue_.ring(), region, region_offset, base, slices);
  }

  /** Whether the operation can be its: the caller asked for it, and there is room. */
  bool Takes(const Operation& operation) const {
    return open_ && (operation.flags & kFlagPolled) != 0 && queue_.Untaken() < setup().entries;
  }
  /** REQUIRES: Takes(operation). */
  void Prepare(const Operation& operation);

  /** Operations whose completion was not reaped. */
  uint32_t in_flight() const { return in_flight_; }
  bool HasCompletions() const { return open_ && queue_.HasCompletions(); }
  /** Submits, and polls: once, or until something has completed. 0, or an errno that is final. */
  int Poll(bool until_completion, uint32_t wait_microseconds) {
    return in_flight_ == 0 ? 0 : queue_.Submit(until_completion ? 1 : 0, wait_microseconds);
  }

  /** As RingQueue::Reap; `take` is given those that `taken` is to count. */
  template <typename Take>
  void Reap(Take take) {
    if (!open_) return;
    queue_.Reap([&](const io_uring_cqe& completion) {
      if (!take(completion)) return false;
      in_flight_--;
      return true;
    });
  }
  /** As RingQueue::TakeBack. */
  template <typename Lost>
  void TakeBack(Lost lost) {
    queue_.TakeBack([&](uint64_t user_data) {
      in_flight_--;
      lost(user_data);
    });
  }

  /** REQUIRES: as RingQueue::Exit. `drained`: nothing is in flight. */
  void Close(bool drained);

 private:
  double* counters_;
  RingQueue queue_;
  FixedBuffers fixed_;
  uint32_t in_flight_ = 0;
  bool open_ = false;
};

/** A read or a write, by way of registered memory where that holds all of it. */
void PrepareTransfer(const Operation& operation, const FixedBuffers& fixed, io_uring_sqe* entry);

}  // namespace quadring

#endif
