// How long it takes until a thread that sleeps hears of another one: from the moment before the call that wakes it to
// the first thing that it does.
//
// One round: the waiter says that it is about to sleep; the sender looks until the kernel says that it does, notes the
// time and wakes it; the waiter notes the time. Only what lies between the two times counts: `op/s` is how many such
// times fit into a second, and the CPU is the waiter's own.
#include <linux/futex.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <optional>

#include "refusal.h"
#include "resources.h"
#include "ring.h"
#include "rows.h"

namespace bench {
namespace {

constexpr uint64_t kWakeUps = 2000;
/** The other thread hangs where it takes longer. */
constexpr int64_t kPatienceNanoseconds = 10'000'000'000;
/** All that sleep do so for this long at most, and look whether anybody will wake them; as in the engine, waits end. */
constexpr uint32_t kSliceMilliseconds = 1000;
/** FUTEX2_SIZE_U32 | FUTEX2_PRIVATE, which older headers do not name. */
constexpr int kFutexFlags = 2 | 128;

long Futex(std::atomic<uint32_t>* word, int operation, uint32_t value, const timespec* limit = nullptr) {
  return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, limit, nullptr, 0);
}

/** One way of waiting and waking. Rings are made by the thread that uses them. */
class Doorbell {
 public:
  virtual ~Doorbell() = default;
  /** In the waiter's thread, once. */
  virtual void SetUpWaiter() {}
  /** In the sender's. */
  virtual void SetUpSender() {}
  /** Everything that comes before sleep, and may take any time. `round` counts from 1. */
  virtual void Prepare(uint32_t) {}
  virtual void Wait(uint32_t round) = 0;
  virtual void Wake(uint32_t round) = 0;
  /** In the sender's thread, when the round is over. */
  virtual void AfterWake() {}
  virtual bool sleeps() const { return true; }

  /** Nobody will wake the waiter any more. */
  void Stop() { stopped_.store(true); }

 protected:
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

  /** The one completion that a ring waits for. */
  void WaitIn(Ring* ring, const char* what) {
    while (!ring->WaitFor(kSliceMilliseconds)) {
      if (stopped()) return;
    }
    ring->TakeOne(what);
  }

 private:
  std::atomic<bool> stopped_{false};
};

/** A read of it is pending in the waiter's ring, as in the engine. */
class EventfdDoorbell : public Doorbell {
 public:
  EventfdDoorbell() : eventfd_(CheckedCall(eventfd(0, EFD_CLOEXEC), "eventfd")) {}
  ~EventfdDoorbell() override { close(eventfd_); }

  void SetUpWaiter() override { ring_.emplace(); }
  void Prepare(uint32_t) override {
    io_uring_prep_read(ring_->Next(), eventfd_, &value_, sizeof value_, 0);
    ring_->Enter(0);
  }
  void Wait(uint32_t) override { WaitIn(&*ring_, "a read of an eventfd"); }
  void Wake(uint32_t) override {
    const uint64_t one = 1;
    CheckedCall(static_cast<int>(write(eventfd_, &one, sizeof one)), "write to an eventfd");
  }

 private:
  const int eventfd_;
  uint64_t value_ = 0;
  std::optional<Ring> ring_;
};

/** The sender has a ring as well. */
class MessageDoorbell : public Doorbell {
 public:
  void SetUpWaiter() override { ring_.emplace(); }
  void SetUpSender() override { sender_.emplace(); }
  void Wait(uint32_t) override { WaitIn(&*ring_, "a message"); }
  void Wake(uint32_t round) override {
    io_uring_sqe* const entry = sender_->Next();
    io_uring_prep_rw(IORING_OP_MSG_RING, entry, ring_->descriptor(), nullptr, 0, round);
    sender_->Enter(0);
    // What is refused is so at once, and wakes nobody.
    if (sender_->Ready() > 0) CheckCompletion(sender_->Front(), 0, "MSG_RING");
  }
  void AfterWake() override { sender_->TakeOne("MSG_RING"); }

 private:
  std::optional<Ring> ring_;
  std::optional<Ring> sender_;
};

/** The waiter's ring waits for a word, which the sender changes. */
class RingFutexDoorbell : public Doorbell {
 public:
  void SetUpWaiter() override { ring_.emplace(); }
  void Prepare(uint32_t round) override {
    io_uring_sqe* const entry = ring_->Next();
    entry->opcode = static_cast<uint8_t>(kOperationFutexWait);
    entry->fd = kFutexFlags;
    entry->addr = reinterpret_cast<uint64_t>(&word_);
    entry->addr2 = round - 1;
    entry->addr3 = FUTEX_BITSET_MATCH_ANY;
    ring_->Enter(0);
    // What is refused is so at once.
    if (ring_->Ready() > 0) CheckCompletion(ring_->Front(), 0, "FUTEX_WAIT");
  }
  void Wait(uint32_t) override { WaitIn(&*ring_, "FUTEX_WAIT"); }
  void Wake(uint32_t round) override {
    word_.store(round);
    CheckedCall(static_cast<int>(Futex(&word_, FUTEX_WAKE, 1)), "FUTEX_WAKE");
  }

 private:
  std::optional<Ring> ring_;
  std::atomic<uint32_t> word_{0};
};

class FutexDoorbell : public Doorbell {
 public:
  void Wait(uint32_t round) override {
    const timespec limit = {kSliceMilliseconds / 1000, 0};
    while (word_.load() != round && !stopped()) {
      if (Futex(&word_, FUTEX_WAIT, round - 1, &limit) == 0 || errno == EAGAIN) continue;
      if (errno != EINTR && errno != ETIMEDOUT) Refuse(errno, "FUTEX_WAIT");
    }
  }
  void Wake(uint32_t round) override {
    word_.store(round);
    CheckedCall(static_cast<int>(Futex(&word_, FUTEX_WAKE, 1)), "FUTEX_WAKE");
  }

 private:
  std::atomic<uint32_t> word_{0};
};

class SpinningDoorbell : public Doorbell {
 public:
  void Wait(uint32_t round) override {
    while (word_.load(std::memory_order_acquire) != round && !stopped()) {
    }
  }
  void Wake(uint32_t round) override { word_.store(round, std::memory_order_release); }
  bool sleeps() const override { return false; }

 private:
  std::atomic<uint32_t> word_{0};
};

/** The calling thread's cores, for as long as this lives. */
class Affinity {
 public:
  Affinity() { CheckedCall(sched_getaffinity(0, sizeof allowed_, &allowed_), "sched_getaffinity"); }
  ~Affinity() { sched_setaffinity(0, sizeof allowed_, &allowed_); }
  Affinity(const Affinity&) = delete;
  Affinity& operator=(const Affinity&) = delete;

  int cores() const { return CPU_COUNT(&allowed_); }

  /** The thread runs on one of its cores only, the first being 0. */
  void Pin(int number) {
    for (int core = 0; core < CPU_SETSIZE; core++) {
      if (!CPU_ISSET(core, &allowed_) || number-- > 0) continue;
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(core, &one);
      CheckedCall(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
      return;
    }
    throw Broken{"a thread has fewer cores than it had"};
  }

 private:
  cpu_set_t allowed_;
};

/** What the kernel says a thread of this process does: its state in /proc. */
class ThreadState {
 public:
  explicit ThreadState(pid_t thread)
      : file_("/proc/self/task/" + std::to_string(thread) + "/stat", O_RDONLY) {}

  bool IsAsleep() const {
    char text[256];
    const ssize_t length = pread(file_.descriptor(), text, sizeof text - 1, 0);
    if (length <= 0) Refuse(length == 0 ? ESRCH : errno, "read of a thread's state");
    text[length] = 0;
    // Behind the name, which may hold anything, and its bracket.
    const char* const bracket = strrchr(text, ')');
    return bracket != nullptr && bracket[1] == ' ' && bracket[2] == 'S';
  }

 private:
  File file_;
};

/** The two threads' common state, of one run. */
class Meeting {
 public:
  explicit Meeting(std::shared_ptr<Doorbell> doorbell) : doorbell_(std::move(doorbell)) {}

  Result Hold(uint64_t count) {
    count_ = static_cast<uint32_t>(count);
    // Whether the kernel has both on one core would say more of who else is running than of what wakes them.
    Affinity affinity;
    const bool alone = affinity.cores() > 1;
    if (alone) affinity.Pin(1);
    std::thread waiter([this, alone, &affinity] {
      try {
        if (alone) affinity.Pin(0);
        WaitForAll();
      } catch (...) {
        error_ = std::current_exception();
        failed_.store(true);
      }
    });
    std::exception_ptr error;
    try {
      SendAll();
    } catch (...) {
      error = std::current_exception();
      stopped_.store(true);
      doorbell_->Stop();
    }
    waiter.join();
    // The sender's is often only that the waiter has ended.
    if (error_) std::rethrow_exception(error_);
    if (error) std::rethrow_exception(error);
    Result result = ResultOf(count, one_way_, waiter_cpu_, latencies_);
    result.counted["sender's call µs"] = Percentile(calls_, 0.5) / 1000;
    if (!alone) result.note = "there is one core: both threads have been on it";
    return result;
  }

 private:
  void WaitForAll() {
    doorbell_->SetUpWaiter();
    thread_.store(static_cast<pid_t>(syscall(SYS_gettid)));
    const int64_t cpu_before = NowNanoseconds(CLOCK_THREAD_CPUTIME_ID);
    for (uint32_t round = 1; round <= count_ && !stopped_.load(); round++) {
      doorbell_->Prepare(round);
      prepared_.store(round);
      doorbell_->Wait(round);
      const int64_t received = NowNanoseconds();
      const int64_t took = received - sent_.load();
      latencies_.push_back(took);
      one_way_ += took;
      received_.store(round);
    }
    waiter_cpu_ = NowNanoseconds(CLOCK_THREAD_CPUTIME_ID) - cpu_before;
  }

  void SendAll() {
    doorbell_->SetUpSender();
    Until([this] { return thread_.load() != 0; });
    const ThreadState waiter(thread_.load());
    for (uint32_t round = 1; round <= count_; round++) {
      Until([this, round] { return prepared_.load() == round; });
      if (doorbell_->sleeps()) Until([&waiter] { return waiter.IsAsleep(); });
      const int64_t sent = NowNanoseconds();
      sent_.store(sent);
      doorbell_->Wake(round);
      calls_.push_back(NowNanoseconds() - sent);
      Until([this, round] { return received_.load() == round; });
      doorbell_->AfterWake();
    }
  }

  /** Lets others run, so that a single core is enough. */
  template <typename Condition>
  void Until(Condition is_true) {
    const int64_t until = NowNanoseconds() + kPatienceNanoseconds;
    while (!is_true()) {
      if (failed_.load()) throw Broken{"the waiter has ended"};
      if (NowNanoseconds() > until) throw Broken{"the waiter hangs"};
      sched_yield();
    }
  }

  const std::shared_ptr<Doorbell> doorbell_;
  uint32_t count_ = 0;
  std::atomic<pid_t> thread_{0};
  std::atomic<uint32_t> prepared_{0};
  std::atomic<uint32_t> received_{0};
  std::atomic<int64_t> sent_{0};
  std::atomic<bool> failed_{false};
  std::atomic<bool> stopped_{false};
  std::exception_ptr error_;
  std::vector<int64_t> latencies_;
  std::vector<int64_t> calls_;
  int64_t one_way_ = 0;
  int64_t waiter_cpu_ = 0;
};

/** Each run has threads and rings of its own, set up before the first round of it. */
template <typename Kind>
Arm DoorbellArm(const std::string& name) {
  return {name, [](const Workplace&) -> Run {
            return [](uint64_t count) { return Meeting(std::make_shared<Kind>()).Hold(count); };
          }};
}

}  // namespace

void AddWakeUpRows(Rows* rows) {
  rows->push_back({"wake-ups: one thread to another that sleeps, one way, each on a core of its own",
                   kWakeUps,
                   {DoorbellArm<EventfdDoorbell>("a read of an eventfd in its ring"),
                    DoorbellArm<MessageDoorbell>("MSG_RING"), DoorbellArm<RingFutexDoorbell>("FUTEX_WAIT in its ring"),
                    DoorbellArm<FutexDoorbell>("a futex, no ring"),
                    DoorbellArm<SpinningDoorbell>("it spins and does not sleep")}});
}

}  // namespace bench
