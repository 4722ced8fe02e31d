// Making an io_uring: the set-up flags that the kernel takes, from the best set down.
#ifndef QUADRING_RING_SETUP_H
#define QUADRING_RING_SETUP_H

#include <liburing.h>

#include <cstdint>
#include <vector>

#include "errors.h"

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
};

/** Opens a ring for the calling thread, with the best flags that the kernel takes. */
Failure OpenRing(uint32_t entries, uint32_t completion_entries, bool single_issuer, RingSetup* setup);

std::vector<const char*> FlagNames(const RingSetup& setup);

}  // namespace quadring

#endif
