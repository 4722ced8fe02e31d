#include "ring.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstring>

#include "refusal.h"

namespace bench {
namespace {

/** How often a call is made again that a signal cut short, or that the kernel had no room for. */
constexpr int kTriesMax = 1000;

template <typename T>
T* At(uint8_t* base, uint32_t offset) {
  return reinterpret_cast<T*>(base + offset);
}

}  // namespace

Ring::Ring(const RingOptions& options) {
  parameters_.flags = options.flags;
  if (options.completion_entries > 0) {
    parameters_.flags |= IORING_SETUP_CQSIZE;
    parameters_.cq_entries = options.completion_entries;
  }
  descriptor_ = Checked(io_uring_setup(options.entries, &parameters_), "io_uring_setup");
  try {
    Map();
    enter_descriptor_ = descriptor_;
    if (options.registers_descriptor) {
      io_uring_rsrc_update update = {};
      update.offset = UINT32_MAX;
      update.data = static_cast<uint64_t>(descriptor_);
      Register(IORING_REGISTER_RING_FDS, &update, 1, "IORING_REGISTER_RING_FDS");
      enter_descriptor_ = static_cast<int>(update.offset);
      enter_flags_ = IORING_ENTER_REGISTERED_RING;
    }
  } catch (...) {
    Release();
    throw;
  }
}

Ring::~Ring() { Release(); }

void Ring::Release() {
  if (enter_flags_ != 0) {
    io_uring_rsrc_update update = {};
    update.offset = static_cast<uint32_t>(enter_descriptor_);
    io_uring_register(static_cast<unsigned>(descriptor_), IORING_UNREGISTER_RING_FDS, &update, 1);
  }
  if (entries_ != nullptr) munmap(entries_, entries_bytes_);
  if (queues_ != nullptr) munmap(queues_, queues_bytes_);
  close(descriptor_);
}

void Ring::Map() {
  if ((parameters_.features & IORING_FEAT_SINGLE_MMAP) == 0) throw Refusal{"ENOSYS from a kernel before 5.4"};
  const auto map = [this](size_t bytes, off_t what) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor_, what);
    if (memory == MAP_FAILED) Refuse(errno, "mmap of a ring");
    return memory;
  };
  // Without an index array the kernel's queue ends earlier, with the completions.
  const bool has_array = (parameters_.flags & IORING_SETUP_NO_SQARRAY) == 0;
  const size_t array_end = has_array ? parameters_.sq_off.array + parameters_.sq_entries * sizeof(uint32_t) : 0;
  const size_t completions_end = parameters_.cq_off.cqes + parameters_.cq_entries * sizeof(io_uring_cqe);
  queues_bytes_ = array_end > completions_end ? array_end : completions_end;
  queues_ = static_cast<uint8_t*>(map(queues_bytes_, IORING_OFF_SQ_RING));
  entries_bytes_ = parameters_.sq_entries * sizeof(io_uring_sqe);
  entries_ = static_cast<io_uring_sqe*>(map(entries_bytes_, static_cast<off_t>(IORING_OFF_SQES)));

  const auto& submissions = parameters_.sq_off;
  kernel_head_ = At<uint32_t>(queues_, submissions.head);
  kernel_tail_ = At<uint32_t>(queues_, submissions.tail);
  kernel_flags_ = At<uint32_t>(queues_, submissions.flags);
  mask_ = *At<uint32_t>(queues_, submissions.ring_mask);
  const auto& completions = parameters_.cq_off;
  kernel_completion_head_ = At<uint32_t>(queues_, completions.head);
  completion_tail_ = At<uint32_t>(queues_, completions.tail);
  completion_mask_ = *At<uint32_t>(queues_, completions.ring_mask);
  kernel_dropped_ = At<uint32_t>(queues_, completions.overflow);
  completions_ = At<io_uring_cqe>(queues_, completions.cqes);
  // Where the kernel has an index array it is filled once and for all, as the engine does it: slot i holds entry i.
  if (has_array) {
    uint32_t* const array = At<uint32_t>(queues_, submissions.array);
    for (uint32_t slot = 0; slot < parameters_.sq_entries; slot++) array[slot] = slot;
  }
}

io_uring_sqe* Ring::Next() {
  if (tail_ - KernelHead() >= parameters_.sq_entries) throw Broken{"more entries than a ring has"};
  io_uring_sqe* const entry = &entries_[tail_++ & mask_];
  memset(entry, 0, sizeof *entry);
  return entry;
}

uint32_t Ring::EnterOnce(uint32_t submit, uint32_t wait) {
  __atomic_store_n(kernel_tail_, tail_, __ATOMIC_RELEASE);
  // Without GETEVENTS a ring with DEFER_TASKRUN would deliver nothing.
  const uint32_t flags = enter_flags_ | IORING_ENTER_GETEVENTS;
  for (int i = 0; i < kTriesMax; i++) {
    enters_++;
    const int result = io_uring_enter(static_cast<unsigned>(enter_descriptor_), submit, wait, flags, nullptr);
    if (result != -EINTR) return static_cast<uint32_t>(Checked(result, "io_uring_enter"));
  }
  throw Broken{"io_uring_enter was interrupted for ever"};
}

void Ring::EnterAll(uint32_t wait) {
  for (int i = 0; i < kTriesMax; i++) {
    Enter(wait);
    if (tail_ == KernelHead()) return;
  }
  throw Broken{"the kernel does not take all entries"};
}

bool Ring::WaitFor(uint32_t milliseconds) {
  __kernel_timespec limit = {};
  limit.tv_sec = milliseconds / 1000;
  limit.tv_nsec = milliseconds % 1000 * 1'000'000LL;
  io_uring_getevents_arg argument = {};
  argument.ts = reinterpret_cast<uint64_t>(&limit);
  enters_++;
  const int result = io_uring_enter2(static_cast<unsigned>(enter_descriptor_), 0, 1,
                                     enter_flags_ | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                     reinterpret_cast<sigset_t*>(&argument), sizeof argument);
  if (result < 0 && result != -ETIME && result != -EINTR) Refuse(-result, "io_uring_enter with a time limit");
  return Ready() > 0;
}

int Ring::TakeOne(const char* what) {
  for (int i = 0; i < kTriesMax && Ready() == 0; i++) Enter(1);
  if (Ready() == 0) throw Broken{std::string(what) + ": the kernel wakes us for nothing"};
  const int result = Front().res;
  CheckCompletion(Front(), 0, what);
  Taken();
  return result;
}

void Ring::TakeAll(uint32_t count, const char* what) {
  for (uint32_t taken = 0; taken < count; taken++) TakeOne(what);
}

int Ring::Register(uint32_t opcode, const void* argument, uint32_t count, const char* what) {
  const int result = io_uring_register(static_cast<unsigned>(descriptor_), opcode, argument, count);
  if (result != -ENOMEM) return Checked(result, what);
  rlimit limit;
  CheckedCall(getrlimit(RLIMIT_MEMLOCK, &limit), "getrlimit");
  Refuse(ENOMEM, std::string(what) + ": memlock is " + std::to_string(limit.rlim_cur / 1024) + " KiB");
}

void CheckCompletion(const io_uring_cqe& completion, int64_t bytes, const std::string& what) {
  if (completion.res < 0) Refuse(-completion.res, what);
  if (completion.res < bytes) throw Broken{what + " moved " + std::to_string(completion.res) + " bytes"};
}

}  // namespace bench
