// How an arm ends that cannot be measured: the kernel refuses what it needs, or something is wrong.
#ifndef QUADRING_BENCH_REFUSAL_H
#define QUADRING_BENCH_REFUSAL_H

#include <cerrno>
#include <string>

#include "errors.h"

namespace bench {

/** The kernel, or this machine, does not have what an arm is about. The row goes on without it. */
struct Refusal {
  /** The errno's name first. */
  std::string text;
};

/** Nothing that a machine may lack: the program ends. */
struct Broken {
  std::string text;
};

/** Throws. `error_number` is positive. */
[[noreturn]] inline void Refuse(int error_number, const std::string& what) {
  const std::string text = quadring::ErrorName(error_number) + " from " + what;
  switch (error_number) {
    // Not known, not supported, not permitted, or more than the limits allow.
    case EACCES:
    case EAGAIN:
    case EINVAL:
    case ENOMEM:
    case ENOSYS:
    case EOPNOTSUPP:
    case EPERM:
      throw Refusal{text};
    default:
      throw Broken{text};
  }
}

/** Of calls that return a negative errno; what they return otherwise. */
inline int Checked(int result, const std::string& what) {
  if (result < 0) Refuse(-result, what);
  return result;
}

/** Of calls that return -1 and set errno. */
inline int CheckedCall(int result, const std::string& what) {
  if (result < 0) Refuse(errno, what);
  return result;
}

}  // namespace bench

#endif
