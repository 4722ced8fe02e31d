// One io_uring, driven by batches of records. How these become entries is in ring_prepare.cc.
//
// LIFECYCLE
//   Open() makes the ring for the calling thread. Attach() names memory. Turn() is the whole of the traffic: it takes a
//   batch, enters the kernel (once, in the usual case), and hands over completions. Close() cancels the ring's own read
//   of the eventfd, waits until nothing is in flight, and only then unmaps the ring: io_uring_queue_exit alone may
//   return while the kernel still writes into the caller's memory. Files that were opened through the ring and not closed
//   are closed then. The destructor closes.
//
// ERROR HANDLING
//   What an operation meets is its completion's result and no concern of the ring. An error of the ring itself (what
//   io_uring_enter returns, see ring_queue.cc) is either waited out within a bound or final: it is kept, every later Turn
//   fails with it, and only Close remains. A batch that was taken up to the middle of a chain is not resumed.
//
// CHAINS WHERE A THREAD OF THE KERNEL POLLS
//   Are published each alone, so that it does not cut them (ring_queue.cc): what is before and what is behind is taken
//   separately. A batch may hold none that is longer than what it takes at once.
//
// COMPLETIONS THAT ARE POLLED FOR
//   Are of a second ring (ring_poller.h). While something is in flight there a turn does not sleep, and ends with the first
//   completion, or without one when another thread wants the core.
//
// SHORT TRANSFERS
//   Are reported as they are. A short read or write severs its chain (the kernel cancels the rest); resubmitting the
//   remainder is left to the caller, who knows what the chain meant.
//
// CONCURRENCY
//   None: no lock, no thread. Another thread ends a wait by writing to the eventfd. Its read is armed when a wait
//   begins and stays armed until it fires, so that a wake-up between two waits is met by the next one. A wake-up may
//   therefore end a later wait than the one it was meant for; a Turn without completions is always legal.
//
// ACCOUNTING
//   in_flight_ counts operations whose completion was not reported. It stays below the size of the completion queue,
//   so that the queue cannot overflow: no completion is lost and none allocated for. Completions that do not fit into
//   the caller's array stay in the queue for the next Turn. internal_in_flight_ counts the ring's own operations.
//
// SELECTED BUFFERS
//   A read that selects first lends its buffer, then asks for any of those that are lent (provided_buffers.h). The
//   completion's flags name the one that was taken, of a failed read too if the kernel had come that far. Where
//   nothing can be lent the read goes into its own buffer, which then travels in the upper half of its user data.
//
// TIMEOUTS
//   Are operations like any other: in flight, and able to end a wait. The kernel calls their end an error, ETIME. Their
//   user data says which they are, because a disk may answer a read with that error as well.
//
// NOTIFICATION
//   An eventfd that is to be notified is told of completions that come between turns and, on x86-64, of no others. The
//   kernel may leave its word that there is work standing when there is none any more: then it is told for nothing until the
//   next completion.
//
// THREAD SAFETY
//   Every method belongs to the thread that made the ring (IORING_SETUP_SINGLE_ISSUER lets no other submit or wait).
//   ring_object.h refuses others with an error; ring_queue.h asserts it at each submission, entry and registration.
#include "ring.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

#include "clock.h"
#include "io_priority.h"
#include "ring_errors.h"
#include "ring_notes.h"
#include "system_calls.h"

// Linux 5.19; older kernels answer with EINVAL, which Close takes like any other answer.
#ifndef IORING_ASYNC_CANCEL_ANY
#define IORING_ASYNC_CANCEL_ANY (1U << 2)
#endif

namespace quadring {
namespace {

/** Completion queue entries for each submission entry. */
constexpr uint32_t kCompletionQueueFactor = 8;
static_assert(kEntriesMax * kCompletionQueueFactor <= ProvidedBuffers::kEntriesMax, "one buffer for each in flight");
/** What the kernel's thread takes at once where it serves more than one ring, and so the longest chain. */
constexpr uint32_t kPolledChainMax = 8;
/**
 * Whether an eventfd that is notified can be left out of what a turn hands over. Elsewhere the kernel's look at whether it is
 * wanted may come before others see that there is work (io_eventfd_grab has no barrier), and a wake-up would be lost.
 */
#if defined(__x86_64__)
constexpr bool kTurnsAreQuiet = true;
#else
constexpr bool kTurnsAreQuiet = false;
#endif
/** Room in the completion queue for the ring's own: the eventfd's read and two cancellations. */
constexpr uint32_t kInternalMax = 3;

// Close: how long it waits for what is in flight, and after how long it cancels what still runs: a read of a disk has
// completed by then, and a read of a pipe might never.
constexpr int64_t kDrainMillisecondsMax = 10'000;
constexpr int64_t kDrainMillisecondsBeforeCancel = 1'000;
/** Attach: how long it waits for the eventfd's read to be cancelled, which takes microseconds. */
constexpr int64_t kDisarmMillisecondsMax = 2'000;
/** The longest of the waits that these consist of. A completion or a signal ends one early. */
constexpr uint32_t kDrainSliceMicroseconds = 100'000;

}  // namespace

Failure Ring::Open() {
  // Checked here, where it can be said: a read of a non-blocking eventfd would end at once, and so would every wait.
  const int status = fcntl(options_.eventfd, F_GETFL);
  if (status < 0) return SystemFailure(errno, "fcntl", "the eventfd is not an open descriptor");
  if (status & O_NONBLOCK) return SystemFailure(EINVAL, "fcntl", "the eventfd must be a blocking one");

  RingRequest request;
  request.entries = options_.entries;
  request.completion_entries = options_.entries * kCompletionQueueFactor;
  request.single_issuer = options_.single_issuer;
  request.polling = options_.polling;
  request.workers = options_.workers;
  request.notifies = Notifies();
  Failure failure = queue_.Open(request);
  open_ = !failure;
  if (failure) return failure;
  kept_.resize(queue_.setup().entries);
  if (Notifies()) {
    const int status = io_uring_register_eventfd(queue_.ring(), options_.notified_eventfd);
    if (status < 0) return SystemFailure(-status, "io_uring_register", "the eventfd that is to be notified");
  }
  if (options_.polls_completions) {
    request.polls_completions = true;
    poller_refusal_ = poller_.Open(request);
  }
  // Two rings do not share a table: where there is a second one files are descriptors, which both can use.
  if (!poller_.is_open()) files_.Open(queue_.ring(), queue_.setup().truncates);
  return Failure{};
}

Failure Ring::Attach(uint32_t region, uint8_t* base, size_t length, FixedRange fixed, uint32_t select_bytes) {
  if (failure_) return failure_;
  if (in_flight_ > 0) return SystemFailure(EBUSY, "io_uring_register", "operations are in flight");
  Failure failure = DisarmWakeUp();
  if (failure) return failure;
  // Before the region is another one: what was lent of the old one goes.
  if (select_bytes != 0 || regions_.select_bytes(region) != 0) {
    provided_.Renew(queue_.ring(), select_bytes == 0 ? 0 : queue_.setup().completion_entries);
  }
  regions_.Attach(region, base, length, select_bytes);
  const auto slices = static_cast<uint32_t>(fixed.length >> FixedBuffers::kSliceShift);
  fixed_.Attach(queue_.ring(), region, fixed.offset, base + fixed.offset, slices);
  poller_.Attach(region, fixed.offset, base + fixed.offset, slices);
  return Failure{};
}

uint32_t Ring::Room() const {
  const RingSetup& setup = queue_.setup();
  return std::min(setup.entries, setup.completion_entries - kInternalMax - in_flight_);
}

int Ring::Turn(uint32_t count, uint32_t wait_microseconds) {
  if (!Notifies() || !kTurnsAreQuiet) return TakeTurn(count, wait_microseconds);
  // Nobody has to be told of what is handed over here.
  io_uring_cq_eventfd_toggle(queue_.ring(), false);
  const int total = TakeTurn(count, wait_microseconds);
  io_uring_cq_eventfd_toggle(queue_.ring(), true);
  // What came before the kernel saw that: it says that there is work and looks then, in this order on a processor whose
  // atomic operations are barriers.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (queue_.HasCompletions() || queue_.HasTaskWork()) Notify();
  return total;
}

void Ring::Notify() {
  const uint64_t one = 1;
  // Whatever is wrong with the eventfd, the caller meets the completions in its next turn.
  if (write(options_.notified_eventfd, &one, sizeof one) < 0) return;
}

int Ring::TakeTurn(uint32_t count, uint32_t wait_microseconds) {
  if (failure_) return -1;
  if (count == 0 && wait_microseconds == 0 && in_flight_ == 0) return 0;

  uint32_t written = 0;
  if (count > 0) TakeBatch(count, &written);
  if (failure_) return -1;

  const bool waits = wait_microseconds > 0 && written == 0 && !HasCompletions();
  const uint32_t wait_max = waits ? std::min(wait_microseconds, kWaitMicrosecondsMax) : 0;
  if (!(poller_.in_flight() > 0 ? SubmitAndPoll(wait_max) : SubmitAndWait(wait_max))) return -1;

  const uint32_t total = Reap(written);
  return failure_ ? -1 : static_cast<int>(total);
}

/** Waits for a completion or a wake-up, unless the time is 0. */
bool Ring::SubmitAndWait(uint32_t wait_microseconds) {
  if (wait_microseconds == 0) return Submit(0, 0);
  // A batch that fills the queue leaves no entry for the eventfd's read: the one case of two entries to the kernel.
  if (!wake_up_armed_ && !MakeRoom()) return false;
  // One may have come meanwhile: then there is nothing to wait for.
  if (queue_.HasCompletions()) return Submit(0, 0);
  if (!wake_up_armed_) ArmWakeUp();
  return Submit(1, wait_microseconds);
}

/** Needs no wake-up: it lasts for as long as the disk takes, or until another thread wants the core. */
bool Ring::SubmitAndPoll(uint32_t wait_microseconds) {
  const bool has_others = in_flight_ > poller_.in_flight() || queue_.Untaken() > 0;
  if (has_others && !Submit(0, 0)) return false;
  const bool until_completion = wait_microseconds > 0 && !queue_.HasCompletions();
  return FailPoller(poller_.Poll(until_completion, wait_microseconds));
}

/** Prepares what is to be carried out; the completions of what is not, or was at once, are written. */
void Ring::TakeBatch(uint32_t count, uint32_t* written) {
  batch_.Read(options_, regions_, count, queue_.is_polled() ? kPolledChainMax : options_.entries);
  for (const Operation& operation : batch_) {
    // Between two operations that are carried out there it makes no difference when: it stands alone.
    const bool is_done_here = operation.opcode == kTruncate && !queue_.setup().truncates;
    if (operation.refusal == 0 && !is_done_here) {
      if (!PrepareInOrder(operation)) return;
    } else {
      int32_t* completion = options_.completions + size_t{*written} * kCompletionWords;
      completion[0] = static_cast<int32_t>(operation.user_data);
      completion[1] = operation.refusal != 0 ? operation.refusal : Truncate(operation);
      completion[2] = kNoBuffer;
      ++*written;
    }
  }
}

/** With a chain apart from what is before and behind it where it must be. False: failure_ says why. */
bool Ring::PrepareInOrder(const Operation& operation) {
  const bool begins_chain = operation.linked && !in_chain_;
  const bool ends_chain = in_chain_ && !operation.linked;
  if (queue_.is_polled() && begins_chain && !SubmitAndSettle()) return false;
  if (poller_.Takes(operation)) {
    poller_.Prepare(operation);
    in_flight_++;
    return true;
  }
  if (!MakeRoom()) return false;
  Prepare(operation);
  in_chain_ = operation.linked;
  return !queue_.is_polled() || !ends_chain || SubmitAndSettle();
}

/** For one entry more. False: failure_ says why. */
bool Ring::MakeRoom() {
  if (queue_.Untaken() < queue_.setup().entries) return true;
  return SubmitAndSettle();
}

/** Hands everything prepared to the kernel and, where asked to, waits. False: failure_ says why, and it is final. */
bool Ring::Submit(uint32_t completions_min, uint32_t wait_microseconds) {
  return Fail(queue_.Submit(completions_min, wait_microseconds));
}

bool Ring::SubmitAndSettle() { return Fail(queue_.SubmitAndSettle()); }

/** True: there is no error. */
bool Ring::Fail(int error_number) {
  if (error_number == 0) return true;
  failure_ = EnterFailure(error_number);
  queue_.TakeBack([this](uint64_t user_data) {
    if ((user_data & kInternal) == 0) {
      in_flight_--;
    } else {
      internal_in_flight_--;
      if (user_data == kWakeUpUserData) wake_up_armed_ = false;
    }
  });
  return false;
}

bool Ring::FailPoller(int error_number) {
  if (error_number == 0) return true;
  failure_ = EnterFailure(error_number);
  poller_.TakeBack([this](uint64_t) { in_flight_--; });
  return false;
}

/** Moves completions behind the `written` ones that the caller's array has; returns how many it has then. */
uint32_t Ring::Reap(uint32_t written) {
  const auto take = [&](const io_uring_cqe& completion) { return Report(completion, &written); };
  queue_.Reap(take);
  poller_.Reap(take);
  return written;
}

/** False: there is no room for it in the caller's array. */
bool Ring::Report(const io_uring_cqe& completion, uint32_t* written) {
  if (completion.user_data & kInternal) {
    TakeInternal(completion);
    return true;
  }
  if (*written == options_.completion_capacity) return false;
  const auto note = completion.user_data >> kNoteShift;
  const bool timed_out = note == kNoteTimeout && completion.res == -ETIME;
  const int result = TakeFile(completion);
  int32_t* target = options_.completions + size_t{*written} * kCompletionWords;
  target[0] = static_cast<int32_t>(static_cast<uint32_t>(completion.user_data));
  target[1] = timed_out ? 0 : result;
  target[2] = BufferOf(completion);
  ++*written;
  in_flight_--;
  return true;
}

/** The completion's result; of an open that gave a slot, its handle. */
int32_t Ring::TakeFile(const io_uring_cqe& completion) {
  const auto note = static_cast<uint32_t>(completion.user_data >> kNoteShift);
  if (note == kNoteOpen) descriptors_.Opened(completion.res);
  return note >= kNoteSlots && note < kNoteOpen ? files_.Completed(note - kNoteSlots, completion.res) : completion.res;
}

/** The offset of the buffer that the completion names, or kNoBuffer. */
int32_t Ring::BufferOf(const io_uring_cqe& completion) {
  if (completion.flags & IORING_CQE_F_BUFFER) {
    return static_cast<int32_t>(provided_.Take(completion.flags >> IORING_CQE_BUFFER_SHIFT));
  }
  const auto note = static_cast<uint32_t>(completion.user_data >> kNoteShift);
  return note == kNoteNothing || note >= kNoteBufferEnd ? kNoBuffer : static_cast<int32_t>(note - 1);
}

/** Counts completions without reporting them. */
void Ring::Discard() {
  const auto take = [this](const io_uring_cqe& completion) {
    if (completion.user_data & kInternal) {
      TakeInternal(completion);
    } else {
      TakeFile(completion);
      in_flight_--;
    }
    return true;
  };
  queue_.Reap(take);
  poller_.Reap(take);
}

void Ring::TakeInternal(const io_uring_cqe& completion) {
  internal_in_flight_--;
  if (completion.user_data != kWakeUpUserData) return;
  wake_up_armed_ = false;
  // It is armed again by the next wait. But a descriptor that cannot be read would end every wait at once.
  const int result = completion.res;
  if (result < 0 && result != -ECANCELED && result != -EINTR && result != -EAGAIN && !failure_) {
    failure_ = SystemFailure(-result, "read", "the eventfd that ends waits cannot be read");
  }
}

/** REQUIRES: nothing of the caller's is in flight. */
Failure Ring::DisarmWakeUp() {
  if (wake_up_armed_) Cancel(kWakeUpUserData, 0);
  if (Drain(kDisarmMillisecondsMax, kDisarmMillisecondsMax) || failure_) return failure_;
  return SystemFailure(ETIMEDOUT, "io_uring_enter", "the eventfd's read cannot be cancelled");
}

/** Waits until nothing is in flight, for so long at most; false: something is. What it waits for is not reported. */
bool Ring::Drain(int64_t milliseconds_max, int64_t milliseconds_before_cancel) {
  const int64_t start = NowMilliseconds();
  bool has_cancelled = false;
  while (in_flight_ + internal_in_flight_ > 0) {
    const int64_t waited = NowMilliseconds() - start;
    if (waited >= milliseconds_max) return false;
    if (!has_cancelled && waited >= milliseconds_before_cancel) {
      Cancel(0, IORING_ASYNC_CANCEL_ANY);
      has_cancelled = true;
    }
    const bool polls = poller_.in_flight() > 0;
    if (!(polls ? SubmitAndPoll(kDrainSliceMicroseconds) : Submit(1, kDrainSliceMicroseconds))) return false;
    Discard();
  }
  return true;
}

BackendDescription Ring::Describe() const {
  BackendDescription description;
  const RingSetup& setup = queue_.setup();
  description.flags = FlagNames(setup);
  description.entries = setup.entries;
  description.completion_entries = setup.completion_entries;
  description.descriptor = setup.ring.ring_fd;
  description.polling_refusal = setup.polling_refusal;
  if (poller_.is_open()) description.poller_flags = FlagNames(poller_.setup());
  description.poller_refusal = poller_refusal_;
  description.workers_max = setup.workers_max;
  description.workers_refusal = setup.workers_refusal;
  description.registered_bytes = fixed_.registered_bytes();
  description.registration_refusal = fixed_.refusal();
  description.fixed_files = files_.slots();
  description.fixed_files_refusal = poller_.is_open() ? "files are descriptors: two rings use them" : files_.refusal();
  description.provided_buffers = provided_.entries();
  description.provided_buffers_refusal = provided_.refusal();
  description.idle_priority_refusal = IdlePriorityRefusalText();
  return description;
}

Failure Ring::Close() {
  if (!open_) return Failure{};
  open_ = false;
  if (wake_up_armed_) Cancel(kWakeUpUserData, 0);
  const bool drained = Drain(kDrainMillisecondsMax, kDrainMillisecondsBeforeCancel);
  descriptors_.CloseAll();
  // With something in flight this could wait for it without a bound.
  if (drained) {
    files_.Release(queue_.ring());
    fixed_.Release(queue_.ring());
    provided_.Release(queue_.ring());
  }
  poller_.Close(drained);
  queue_.Exit();
  if (drained) return Failure{};
  wake_up_value_.release();
  const std::string count = std::to_string(in_flight_);
  return SystemFailure(ETIMEDOUT, "io_uring_enter",
                       count + " operations did not end in time; the kernel may still use their memory");
}

}  // namespace quadring
