// A ring with nothing between it and the kernel: liburing's own set-up and submission differ from version to version
// (some ask for NO_SQARRAY by themselves, some do not know it), and arms must differ in one thing only. One thread uses
// it.
#ifndef QUADRING_BENCH_RING_H
#define QUADRING_BENCH_RING_H

#include <liburing.h>

#include <cstdint>
#include <string>

// Newer than some headers that this compiles against; the kernel decides whether it knows them.
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif

namespace bench {

/** What the engine's rings have wherever the kernel knows it, beside what a row is about. */
constexpr uint32_t kUsualFlags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL;

/** IORING_OP_FUTEX_WAIT, which older headers do not name. */
constexpr int kOperationFutexWait = 51;

struct RingOptions {
  uint32_t entries = 64;
  uint32_t flags = kUsualFlags;
  /** With IORING_SETUP_CQSIZE. */
  uint32_t completion_entries = 0;
  bool registers_descriptor = false;
};

class Ring {
 public:
  /** Throws a Refusal. With SINGLE_ISSUER the ring belongs to the thread that makes it. */
  explicit Ring(const RingOptions& options = {});
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /** An entry that is all zeros. REQUIRES: fewer are waiting to be submitted than the ring has entries. */
  io_uring_sqe* Next();

  /** Submits what was taken, and waits for `wait` completions. How many the kernel took: negative errnos are thrown. */
  uint32_t Enter(uint32_t wait) { return EnterOnce(tail_ - KernelHead(), wait); }

  /** The same until all are taken, which takes more than one call where one is refused and SUBMIT_ALL is off. */
  void EnterAll(uint32_t wait);

  /** Waits at most so long for one completion; false when the time is over. */
  bool WaitFor(uint32_t milliseconds);

  /** Completions that can be taken without a system call. */
  uint32_t Ready() const { return __atomic_load_n(completion_tail_, __ATOMIC_ACQUIRE) - completion_head_; }

  /** The next completion. REQUIRES: Ready() > 0. Taken() ends its life. */
  const io_uring_cqe& Front() const { return completions_[completion_head_ & completion_mask_]; }
  void Taken() { __atomic_store_n(kernel_completion_head_, ++completion_head_, __ATOMIC_RELEASE); }

  /** Takes a completion, entering if none is there yet. Its result; throws where the operation failed. */
  int TakeOne(const char* what);
  void TakeAll(uint32_t count, const char* what);

  /** The kernel holds completions that have no room in the queue. */
  bool HasOverflowed() const { return (__atomic_load_n(kernel_flags_, __ATOMIC_ACQUIRE) & IORING_SQ_CQ_OVERFLOW) != 0; }

  /** A call of io_uring_register that must succeed. */
  int Register(uint32_t opcode, const void* argument, uint32_t count, const char* what);

  int descriptor() const { return descriptor_; }
  uint32_t completion_entries() const { return parameters_.cq_entries; }
  /** Completions that are lost. */
  uint32_t dropped() const { return __atomic_load_n(kernel_dropped_, __ATOMIC_RELAXED); }
  /** System calls so far that submitted or waited. */
  uint64_t enters() const { return enters_; }

 private:
  uint32_t KernelHead() const { return __atomic_load_n(kernel_head_, __ATOMIC_ACQUIRE); }
  uint32_t EnterOnce(uint32_t submit, uint32_t wait);
  void Map();
  void Release();

  io_uring_params parameters_ = {};
  int descriptor_ = -1;
  /** What io_uring_enter is given: the descriptor, or its place in the thread's table of registered rings. */
  int enter_descriptor_ = -1;
  uint32_t enter_flags_ = 0;
  uint8_t* queues_ = nullptr;
  size_t queues_bytes_ = 0;
  io_uring_sqe* entries_ = nullptr;
  size_t entries_bytes_ = 0;
  io_uring_cqe* completions_ = nullptr;
  uint32_t mask_ = 0;
  uint32_t completion_mask_ = 0;
  uint32_t* kernel_head_ = nullptr;
  uint32_t* kernel_tail_ = nullptr;
  uint32_t* kernel_flags_ = nullptr;
  uint32_t* kernel_dropped_ = nullptr;
  uint32_t* completion_tail_ = nullptr;
  uint32_t* kernel_completion_head_ = nullptr;
  uint32_t tail_ = 0;
  uint32_t completion_head_ = 0;
  uint64_t enters_ = 0;
};

/** Throws where a completion says that its operation failed, or moved less than `bytes`. */
void CheckCompletion(const io_uring_cqe& completion, int64_t bytes, const std::string& what);

}  // namespace bench

#endif
