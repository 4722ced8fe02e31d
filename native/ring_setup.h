// Making an io_uring: the set-up flags that the kernel takes, from the best set down.
#ifndef QUADRING_RING_SETUP_H
#define QUADRING_RING_SETUP_H

#include <liburing.h>

#include <cstdint>
#include <string>
#include <vector>

#include "errors.h"
#include "ring_request.h"

#if __has_include(<liburing/io_uring_version.h>)
#include <liburing/io_uring_version.h>
#endif
// liburing's own IO_URING_CHECK_VERSION is true for versions *below* its arguments; and 2.3 has none.
#ifdef IO_URING_VERSION_MAJOR
#define QUADRING_LIBURING_AT_LEAST(major, minor) \
  (IO_URING_VERSION_MAJOR > (major) || (IO_URING_VERSION_MAJOR == (major) && IO_URING_VERSION_MINOR >= (minor)))
#else
#define QUADRING_LIBURING_AT_LEAST(major, minor) 0
#endif

namespace quadring {

/** IORING_OP_FTRUNCATE, which older headers do not name. */
constexpr int kOperationTruncate = 55;

struct RingSetup {
  io_uring ring;
  uint32_t flags = 0;
  uint32_t entries = 0;
  uint32_t completion_entries = 0;
  bool registered_descriptor = false;
  /** The kernel has IORING_OP_FTRUNCATE: from 6.9 on. */
  bool truncates = false;
  /** Why no thread of the kernel polls although one was wanted. Empty where one does, or none was wanted. */
  std::string polling_refusal;
  /** How many workers of the bounded kind, which read and write files, there may be; 0: the kernel does not say. */
  uint32_t workers_max = 0;
  /** Why the workers are not as they were wanted. Empty where they are. */
  std::string workers_refusal;
};

/** Opens a ring for the calling thread, with the best flags that the kernel takes. */
Failure OpenRing(const RingRequest& request, RingSetup* setup);

std::vector<const char*> FlagNames(const RingSetup& setup);

}  // namespace quadring

#endif
