#include "ring_setup.h"

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

}  // namespace

Failure OpenRing(uint32_t entries, uint32_t completion_entries, bool single_issuer, RingSetup* setup) {
  // From the best set down. Each step leaves out what a range of kernels does not know: NO_SQARRAY 6.6, DEFER_TASKRUN
  // 6.1, SINGLE_ISSUER 6.0, COOP_TASKRUN 5.19, SUBMIT_ALL 5.18, CQSIZE 5.5. DEFER_TASKRUN needs SINGLE_ISSUER.
  constexpr uint32_t kSubmitAll = IORING_SETUP_SUBMIT_ALL;
  constexpr uint32_t kSingle = IORING_SETUP_SINGLE_ISSUER;
  constexpr uint32_t kTiers[] = {
      kSingle | IORING_SETUP_DEFER_TASKRUN | kSubmitAll | IORING_SETUP_CQSIZE | IORING_SETUP_NO_SQARRAY,
      kSingle | IORING_SETUP_DEFER_TASKRUN | kSubmitAll | IORING_SETUP_CQSIZE,
      kSingle | kSubmitAll | IORING_SETUP_CQSIZE,
      IORING_SETUP_COOP_TASKRUN | kSubmitAll | IORING_SETUP_CQSIZE,
      IORING_SETUP_CQSIZE,
      0,
  };

  int result = -EINVAL;
  for (uint32_t flags : kTiers) {
    if (!single_issuer && (flags & kSingle)) continue;
    io_uring_params params;
    memset(&params, 0, sizeof params);
    params.flags = flags;
    if (flags & IORING_SETUP_CQSIZE) params.cq_entries = completion_entries;
    memset(&setup->ring, 0, sizeof setup->ring);
    result = SetUp(entries, &params, &setup->ring);
    if (result == -EINVAL) continue;  // the kernel does not know one of the flags
    if (result < 0) return SetUpFailure(-result);

    // 5.11: a wait with a time limit, renameat and unlinkat. Older kernels are served by plain system calls.
    if ((params.features & IORING_FEAT_EXT_ARG) == 0 || (params.features & IORING_FEAT_NODROP) == 0) {
      io_uring_queue_exit(&setup->ring);
      return SetUpFailure(ENOSYS);
    }
    setup->flags = params.flags;
    setup->entries = params.sq_entries;
    setup->completion_entries = params.cq_entries;
    // Saves the kernel a descriptor look-up at each entry. Not there before 5.18, and not missed.
    setup->registered_descriptor = io_uring_register_ring_fd(&setup->ring) == 1;
    setup->truncates = Knows(&setup->ring, kOperationTruncate);
    return Failure{};
  }
  return SetUpFailure(-result);
}

std::vector<const char*> FlagNames(const RingSetup& setup) {
  static constexpr struct {
    uint32_t flag;
    const char* name;
  } kNames[] = {
      {IORING_SETUP_SINGLE_ISSUER, "SINGLE_ISSUER"}, {IORING_SETUP_DEFER_TASKRUN, "DEFER_TASKRUN"},
      {IORING_SETUP_COOP_TASKRUN, "COOP_TASKRUN"},   {IORING_SETUP_SUBMIT_ALL, "SUBMIT_ALL"},
      {IORING_SETUP_CQSIZE, "CQSIZE"},               {IORING_SETUP_NO_SQARRAY, "NO_SQARRAY"},
  };
  std::vector<const char*> names;
  for (const auto& entry : kNames) {
    if (setup.flags & entry.flag) names.push_back(entry.name);
  }
  if (setup.registered_descriptor) names.push_back("REGISTERED_RING_FD");
  return names;
}

}  // namespace quadring
