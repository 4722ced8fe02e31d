// One io_uring. See ring.cc for its life, its errors and its bounds.
#ifndef QUADRING_RING_H
#define QUADRING_RING_H

#include <liburing.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "backend.h"
#include "batch.h"
#include "errors.h"
#include "fixed_buffers.h"
#include "fixed_files.h"
#include "open_descriptors.h"
#include "provided_buffers.h"
#include "regions.h"
#include "ring_poller.h"
#include "ring_queue.h"

namespace quadring {

class Ring {
 public:
  static constexpr const char* kClassName = "Ring";

  explicit Ring(const BackendOptions& options)
      : options_(options), batch_(options.entries), queue_(options.counters), poller_(options.counters) {}
  ~Ring() { Close(); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  Failure Open();
  Failure Attach(uint32_t region, uint8_t* base, size_t length, FixedRange fixed, uint32_t select_bytes);
  /** How many records the next Turn may bring. */
  uint32_t Room() const;
  /** How many completions were written, or -1: see failure(). REQUIRES: count ≤ Room(). */
  int Turn(uint32_t count, uint32_t wait_microseconds);
  const Failure& failure() const { return failure_; }
  BackendDescription Describe() const;
  /** Closes what was opened through it. A failure means that the kernel may still write into attached memory. */
  Failure Close();

 private:
  void TakeBatch(uint32_t count, uint32_t* written);
  bool PrepareInOrder(const Operation& operation);
  void Prepare(const Operation& operation);
  uint32_t PrepareOpen(const Operation& operation, io_uring_sqe* entry);
  uint32_t PrepareClose(const Operation& operation, io_uring_sqe* entry);
  void UseSlot(const Operation& operation, io_uring_sqe* entry);
  uint32_t PrepareRead(const Operation& operation, io_uring_sqe* entry);
  bool PrepareSelectingRead(const Operation& operation, io_uring_sqe* entry);
  void PrepareTimeout(const Operation& operation, io_uring_sqe* entry);
  void ArmWakeUp();
  void Cancel(uint64_t user_data, uint32_t flags);
  const char* KeepName(const io_uring_sqe* entry, const char* name, size_t which);
  bool MakeRoom();
  bool Submit(uint32_t completions_min, uint32_t wait_microseconds);
  bool Notifies() const { return options_.notified_eventfd >= 0; }
  void Notify();
  int TakeTurn(uint32_t count, uint32_t wait_microseconds);
  bool SubmitAndWait(uint32_t wait_microseconds);
  bool SubmitAndPoll(uint32_t wait_microseconds);
  bool HasCompletions() const { return queue_.HasCompletions() || poller_.HasCompletions(); }
  bool SubmitAndSettle();
  bool Fail(int error_number);
  bool FailPoller(int error_number);
  bool Report(const io_uring_cqe& completion, uint32_t* written);
  int32_t TakeFile(const io_uring_cqe& completion);
  int32_t BufferOf(const io_uring_cqe& completion);
  uint32_t Reap(uint32_t written);
  void Discard();
  void TakeInternal(const io_uring_cqe& completion);
  Failure DisarmWakeUp();
  bool Drain(int64_t milliseconds_max, int64_t milliseconds_before_cancel);

  BackendOptions options_;
  Batch batch_;
  Regions regions_;
  FixedBuffers fixed_;
  ProvidedBuffers provided_;
  FixedFiles files_;
  OpenDescriptors descriptors_;
  RingQueue queue_;
  RingPoller poller_;
  std::string poller_refusal_;
  Failure failure_;
  bool open_ = false;
  /** Whether the last operation that was prepared is tied to the next one. */
  bool in_chain_ = false;
  /**
   * What entries point to, by their place in the submission queue: good until the place is used again, and so until the
   * kernel has taken the entry, whichever thread of the kernel does that.
   */
  struct Kept {
    __kernel_timespec timeout;
    char names[kNameStride];
  };
  std::vector<Kept> kept_;

  /** Operations of the caller that have no completion reported yet. */
  uint32_t in_flight_ = 0;
  /** The ring's own: the read of the eventfd, and cancellations. */
  uint32_t internal_in_flight_ = 0;
  bool wake_up_armed_ = false;
  /** Where the eventfd's counter is read to. On the heap, because it must outlive a ring that does not drain. */
  std::unique_ptr<uint64_t> wake_up_value_ = std::make_unique<uint64_t>(0);
};

}  // namespace quadring

#endif
