// A clock that only goes forward.
#ifndef QUADRING_CLOCK_H
#define QUADRING_CLOCK_H

#include <time.h>

#include <cstdint>

namespace quadring {

inline int64_t NowMilliseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace quadring

#endif
