// What a ring is asked to be. ring_setup.h makes it, with what the kernel has of it.
#ifndef QUADRING_RING_REQUEST_H
#define QUADRING_RING_REQUEST_H

#include <cstdint>
#include <vector>

namespace quadring {

/** A thread of the kernel that takes what is submitted (SQPOLL). */
struct SubmissionPolling {
  bool wanted = false;
  /** It goes to sleep when it has found nothing for so long. */
  uint32_t idle_milliseconds = 0;
  /** The core that it is bound to, or −1. */
  int cpu = -1;
  /** The descriptor of a ring of this process whose thread serves this one as well, or −1. */
  int shared_with = -1;
};

/** The kernel's own threads that carry out what would block (io-wq). */
struct WorkerRequest {
  /** At most so many of each of the two kinds; 0: as many as the kernel likes. */
  uint32_t threads_max = 0;
  /** The cores that they may run on; empty: all. */
  std::vector<uint32_t> cpus;
};

struct RingRequest {
  uint32_t entries = 0;
  uint32_t completion_entries = 0;
  bool single_issuer = true;
  SubmissionPolling polling;
  /** Completions are polled for (IOPOLL). */
  bool polls_completions = false;
  /** An eventfd is to be notified: whoever looks must see that work waits for the ring's thread to come by. */
  bool notifies = false;
  WorkerRequest workers;
};

}  // namespace quadring

#endif
