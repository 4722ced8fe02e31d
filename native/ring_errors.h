// What the errors of io_uring mean, and what to do about them, in words for people.
#ifndef QUADRING_RING_ERRORS_H
#define QUADRING_RING_ERRORS_H

#include <string>

#include "errors.h"

namespace quadring {

/** io_uring_setup failed. */
Failure SetUpFailure(int error_number);

/** io_uring_enter failed for good. */
Failure EnterFailure(int error_number);

/** "8192 KiB" or "unlimited": what may be locked in memory, as `ulimit -l` says. */
std::string MemoryLockLimit();

}  // namespace quadring

#endif
