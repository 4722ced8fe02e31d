#include "errors.h"

#include <cerrno>
#include <cstring>

namespace quadring {

// Not strerrorname_np: it is newer than the oldest C library that the prebuilt addon runs on, and musl has none.
std::string ErrorName(int error_number) {
#define QUADRING_NAME(name) \
  case name:                \
    return #name;
  switch (error_number) {
    QUADRING_NAME(EACCES)
    QUADRING_NAME(EAGAIN)
    QUADRING_NAME(EBADF)
    QUADRING_NAME(EBADFD)
    QUADRING_NAME(EBADR)
    QUADRING_NAME(EBUSY)
    QUADRING_NAME(ECANCELED)
    QUADRING_NAME(EDQUOT)
    QUADRING_NAME(EEXIST)
    QUADRING_NAME(EFAULT)
    QUADRING_NAME(EFBIG)
    QUADRING_NAME(EINTR)
    QUADRING_NAME(EINVAL)
    QUADRING_NAME(EIO)
    QUADRING_NAME(EISDIR)
    QUADRING_NAME(ELOOP)
    QUADRING_NAME(EMFILE)
    QUADRING_NAME(ENAMETOOLONG)
    QUADRING_NAME(ENFILE)
    QUADRING_NAME(ENODEV)
    QUADRING_NAME(ENOENT)
    QUADRING_NAME(ENOLCK)
    QUADRING_NAME(ENOMEM)
    QUADRING_NAME(ENOSPC)
    QUADRING_NAME(ENOSYS)
    QUADRING_NAME(ENOTDIR)
    QUADRING_NAME(ENOTEMPTY)
    QUADRING_NAME(ENXIO)
    QUADRING_NAME(EOPNOTSUPP)
    QUADRING_NAME(EOWNERDEAD)
    QUADRING_NAME(EPERM)
    QUADRING_NAME(EROFS)
    QUADRING_NAME(ESPIPE)
    QUADRING_NAME(ESTALE)
    QUADRING_NAME(ETIME)
    QUADRING_NAME(ETIMEDOUT)
    QUADRING_NAME(ETXTBSY)
    QUADRING_NAME(EXDEV)
  }
#undef QUADRING_NAME
  return "ERRNO_" + std::to_string(error_number);
}

Failure SystemFailure(int error_number, const char* system_call, const std::string& hint) {
  std::string message = ErrorName(error_number) + ": " + strerror(error_number) + ", " + system_call;
  if (!hint.empty()) message += ": " + hint;
  return Failure{error_number, system_call, message};
}

}  // namespace quadring
