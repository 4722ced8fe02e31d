// How a failed system call travels through the addon: as a value, until the layer that speaks
// JavaScript makes an Error with `code`, `errno` and `syscall` of it.
#ifndef QUADRING_ERRORS_H
#define QUADRING_ERRORS_H

#include <string>

namespace quadring {

struct Failure {
  /** Positive; 0 means that nothing failed. */
  int error_number = 0;
  const char* system_call = "";
  std::string message;

  explicit operator bool() const { return error_number != 0; }
};

/** "EPERM" for 1; "ERRNO_<n>" for a number that has no name here. */
std::string ErrorName(int error_number);

/** `<call>: <what strerror says> (<hint>)`, the hint being optional. */
Failure SystemFailure(int error_number, const char* system_call, const std::string& hint = "");

}  // namespace quadring

#endif
