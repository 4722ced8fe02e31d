#include "ring_setup.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ring_errors.h"

// Newer than some headers that this compiles against; the kernel decides whether it knows them.
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SETUP_COOP_TASKRUN
#define IORING_SETUP_COOP_TASKRUN (1U << 8)
#endif
#ifndef IORING_SETUP_TASKRUN_FLAG
#define IORING_SETUP_TASKRUN_FLAG (1U << 9)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif

namespace quadring {
namespace {

bool Knows(io_uring* ring, int opcode) {
  io_uring_probe* probe = io_uring_get_probe_ring(ring);
  if (probe == nullptr) return false;
  const bool knows = io_uring_opcode_supported(probe, opcode) != 0;
  io_uring_free_probe(probe);
  return knows;
}

// One call of io_uring_setup and the mappings. The submission queue is published by ring.cc itself, which never looks
// at the index array: where the kernel has one, it is filled here, once and for all, with "slot i holds entry i".
int SetUp(uint32_t entries, io_uring_params* params, io_uring* ring) {
#if QUADRING_LIBURING_AT_LEAST(2, 6)
  int result = io_uring_queue_init_params(entries, ring, params);
  if (result < 0) return result;
#else
  // liburing before 2.6 does not know NO_SQARRAY, and its queue_init writes through an array that is then not there.
  int descriptor = io_uring_setup(entries, params);
  if (descriptor < 0) return descriptor;
  int result = io_uring_queue_mmap(descriptor, params, ring);
  if (result < 0) {
    close(descriptor);
    return result;
  }
  ring->features = params->features;
  ring->flags = params->flags;
  ring->ring_fd = descriptor;
  ring->enter_ring_fd = descriptor;
  // Without an array liburing has computed a pointer to something else. Null turns a mistake into a crash.
  if (params->flags & IORING_SETUP_NO_SQARRAY) ring->sq.array = nullptr;
#endif
  if ((params->flags & IORING_SETUP_NO_SQARRAY) == 0) {
    for (uint32_t slot = 0; slot < params->sq_entries; slot++) ring->sq.array[slot] = slot;
  }
  return 0;
}

/** 0, or a negative errno. */
int BindWorkers(const std::vector<uint32_t>& wanted, RingSetup* setup) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return -errno;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (const uint32_t cpu : wanted) {
    // The kernel leaves out those that it does not have, and takes what is left, if it is nothing.
    if (!CPU_ISSET(cpu, &allowed)) return -EINVAL;
    CPU_SET(cpu, &cpus);
  }
  return io_uring_register_iowq_aff(&setup->ring, sizeof cpus, &cpus);
}

/** What it refuses is none of the ring's errors. */
void SettleWorkers(const WorkerRequest& request, RingSetup* setup) {
  const auto refuse = [setup](const char* what, int result) {
    setup->workers_refusal = std::string(what) + ErrorName(-result);
  };
  if (request.threads_max > 0) {
    // One kind reads and writes files, the other opens, renames and removes them.
    uint32_t counts[2] = {request.threads_max, request.threads_max};
    const int result = io_uring_register_iowq_max_workers(&setup->ring, counts);
    if (result < 0) refuse("the number of workers is the kernel's: ", result);
  }
  if (!request.cpus.empty()) {
    const int result = BindWorkers(request.cpus, setup);
    if (result < 0) refuse("workers run on any core: ", result);
  }
  // Zeros change nothing: they ask.
  uint32_t counts[2] = {0, 0};
  if (io_uring_register_iowq_max_workers(&setup->ring, counts) == 0) setup->workers_max = counts[0];
}

/** 0, or a positive errno: EINVAL where the kernel does not know one of the flags. */
int TryFlags(uint32_t flags, const RingRequest& request, RingSetup* setup) {
  io_uring_params params;
  memset(&params, 0, sizeof params);
  params.flags = flags;
  if (flags & IORING_SETUP_CQSIZE) params.cq_entries = request.completion_entries;
  if (flags & IORING_SETUP_SQPOLL) {
    params.sq_thread_idle = request.polling.idle_milliseconds;
    if (flags & IORING_SETUP_SQ_AFF) params.sq_thread_cpu = static_cast<uint32_t>(request.polling.cpu);
    if (flags & IORING_SETUP_ATTACH_WQ) params.wq_fd = static_cast<uint32_t>(request.polling.shared_with);
  }
  memset(&setup->ring, 0, sizeof setup->ring);
  const int result = SetUp(request.entries, &params, &setup->ring);
  if (result < 0) return -result;

  // 5.11: a wait with a time limit, renameat and unlinkat, and polling without registered files. Older kernels are served
  // by plain system calls.
  if ((params.features & IORING_FEAT_EXT_ARG) == 0 || (params.features & IORING_FEAT_NODROP) == 0) {
    io_uring_queue_exit(&setup->ring);
    return ENOSYS;
  }
  setup->flags = params.flags;
  setup->entries = params.sq_entries;
  setup->completion_entries = params.cq_entries;
  // Saves the kernel a descriptor look-up at each entry. Not there before 5.18, and not missed.
  setup->registered_descriptor = io_uring_register_ring_fd(&setup->ring) == 1;
  setup->truncates = Knows(&setup->ring, kOperationTruncate);
  SettleWorkers(request.workers, setup);
  return 0;
}

/** The first of the sets of flags that the kernel knows; 0, or a positive errno. */
template <size_t count>
int TryTiers(const uint32_t (&tiers)[count], uint32_t more_flags, const RingRequest& request, RingSetup* setup) {
  int error_number = EINVAL;
  for (const uint32_t flags : tiers) {
    if (!request.single_issuer && (flags & IORING_SETUP_SINGLE_ISSUER)) continue;
    const bool defers = (flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN)) != 0;
    const uint32_t shows_work = request.notifies && defers ? IORING_SETUP_TASKRUN_FLAG : 0;
    error_number = TryFlags(flags | shows_work | more_flags, request, setup);
    if (error_number != EINVAL) break;
  }
  return error_number;
}

std::string PollingRefusal(int error_number) {
  std::string text = "no thread of the kernel polls: " + ErrorName(error_number);
  if (error_number == EPERM) text += ", a privilege is missing (CAP_SYS_NICE), or a sandbox refuses it";
  if (error_number == EINVAL) text += ", the core to run on is not one that there is";
  return text;
}

}  // namespace

Failure OpenRing(const RingRequest& request, RingSetup* setup) {
  // From the best set down. Each step leaves out what a range of kernels does not know: NO_SQARRAY 6.6, DEFER_TASKRUN
  // 6.1, SINGLE_ISSUER 6.0, COOP_TASKRUN 5.19, SUBMIT_ALL 5.18, CQSIZE 5.5. DEFER_TASKRUN needs SINGLE_ISSUER. Where a thread
  // polls it does the task work: there is no set with DEFER_TASKRUN or COOP_TASKRUN.
  constexpr uint32_t kSubmitAll = IORING_SETUP_SUBMIT_ALL;
  constexpr uint32_t kSingle = IORING_SETUP_SINGLE_ISSUER;
  constexpr uint32_t kPollingTiers[] = {
      kSingle | kSubmitAll | IORING_SETUP_CQSIZE | IORING_SETUP_NO_SQARRAY,
      kSingle | kSubmitAll | IORING_SETUP_CQSIZE,
      kSubmitAll | IORING_SETUP_CQSIZE,
      IORING_SETUP_CQSIZE,
  };
  constexpr uint32_t kTiers[] = {
      kSingle | IORING_SETUP_DEFER_TASKRUN | kSubmitAll | IORING_SETUP_CQSIZE | IORING_SETUP_NO_SQARRAY,
      kSingle | IORING_SETUP_DEFER_TASKRUN | kSubmitAll | IORING_SETUP_CQSIZE,
      kSingle | kSubmitAll | IORING_SETUP_CQSIZE,
      IORING_SETUP_COOP_TASKRUN | kSubmitAll | IORING_SETUP_CQSIZE,
      IORING_SETUP_CQSIZE,
      0,
  };
  const uint32_t completions = request.polls_completions ? IORING_SETUP_IOPOLL : 0;
  if (request.polling.wanted) {
    uint32_t polling = IORING_SETUP_SQPOLL | completions;
    // Whoever shares a thread has no say in where it runs.
    if (request.polling.shared_with >= 0) polling |= IORING_SETUP_ATTACH_WQ;
    else if (request.polling.cpu >= 0) polling |= IORING_SETUP_SQ_AFF;
    const int error_number = TryTiers(kPollingTiers, polling, request, setup);
    if (error_number == 0) return Failure{};
    setup->polling_refusal = PollingRefusal(error_number);
  }
  const int error_number = TryTiers(kTiers, completions, request, setup);
  return error_number == 0 ? Failure{} : SetUpFailure(error_number);
}

std::vector<const char*> FlagNames(const RingSetup& setup) {
  static constexpr struct {
    uint32_t flag;
    const char* name;
  } kNames[] = {
      {IORING_SETUP_SINGLE_ISSUER, "SINGLE_ISSUER"}, {IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN"},
      {IORING_SETUP_COOP_TASKRUN, "COOP_TASKRUN"},   {IORING_SETUP_TASKRUN_FLAG, "TASKRUN_FLAG"},
      {IORING_SETUP_SUBMIT_ALL, "SUBMIT_ALL"},
      {IORING_SETUP_CQSIZE, "CQSIZE"},               {IORING_SETUP_NO_SQARRAY, "NO_SQARRAY"},
      {IORING_SETUP_IOPOLL, "IOPOLL"},               {IORING_SETUP_SQPOLL, "SQPOLL"},
      {IORING_SETUP_SQ_AFF, "SQ_AFF"},
      {IORING_SETUP_ATTACH_WQ, "ATTACH_WQ"},
  };
  std::vector<const char*> names;
  for (const auto& entry : kNames) {
    if (setup.flags & entry.flag) names.push_back(entry.name);
  }
  if (setup.registered_descriptor) names.push_back("REGISTERED_RING_FD");
  return names;
}

}  // namespace quadring
