#include "ring_errors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

namespace quadring {
namespace {

std::string ReadSmallFile(const char* path) {
  int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return "";
  char text[64];
  ssize_t length = read(descriptor, text, sizeof text);
  close(descriptor);
  while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == ' ')) length--;
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : "";
}

std::string PermissionHint() {
  const std::string disabled = ReadSmallFile("/proc/sys/kernel/io_uring_disabled");
  if (disabled == "2") {
    return "io_uring is switched off on this machine (kernel.io_uring_disabled = 2); an administrator can allow it "
           "with `sysctl kernel.io_uring_disabled=0`";
  }
  if (disabled == "1") {
    return "io_uring is reserved to privileged processes on this machine (kernel.io_uring_disabled = 1); run as a "
           "member of the group that kernel.io_uring_group names, or allow it to all with `sysctl "
           "kernel.io_uring_disabled=0`";
  }
  return "a seccomp filter refuses the system call, as the default profiles of Docker and Kubernetes do; run the "
         "container with a profile that allows io_uring_setup, io_uring_enter and io_uring_register";
}

std::string SetUpHint(int error_number) {
  switch (error_number) {
    case ENOSYS:
      return "this kernel has no io_uring, or too old a one (Linux 5.11 or later is needed, with CONFIG_IO_URING), or "
             "a sandbox hides it";
    case EPERM:
    case EACCES:
      return PermissionHint();
    case ENOMEM:
      return "the ring's memory is charged to the limit on locked memory, which is " + MemoryLockLimit() +
             " for this user; raise it with `ulimit -l`, LimitMEMLOCK= in the service's unit, or `--ulimit memlock=-1` "
             "for a container";
    case EMFILE:
      return "this process has too many open files; raise `ulimit -n`";
    case ENFILE:
      return "the machine has too many open files; raise fs.file-max";
    default:
      return "the kernel refused to make a ring";
  }
}

const char* EnterHint(int error_number) {
  switch (error_number) {
    case EAGAIN:
      return "the kernel had no memory for requests, again and again";
    case EBADF:
    case EBADFD:
    case EOPNOTSUPP:
      return "the ring's descriptor was closed or replaced by something else in this process";
    case EBADR:
      return "the kernel had no memory to keep completions, and dropped some: what they belonged to is unknown";
    case EBUSY:
      return "completions wait that the queue has no room for; more is in flight than the ring allows";
    case EEXIST:
      return "another thread than the one that made this ring used it";
    case EINTR:
      return "signals interrupted every attempt to submit";
    case EFAULT:
      return "an address handed to the kernel is not mapped";
    case EINVAL:
      return "the kernel does not accept how this ring was entered";
    case ENXIO:
      return "the ring is being torn down";
    default:
      return "the ring cannot be used any more";
  }
}

}  // namespace

Failure SetUpFailure(int error_number) {
  return SystemFailure(error_number, "io_uring_setup", SetUpHint(error_number));
}

Failure EnterFailure(int error_number) {
  return SystemFailure(error_number, "io_uring_enter", EnterHint(error_number));
}

std::string MemoryLockLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return "unknown";
  if (limit.rlim_cur == RLIM_INFINITY) return "unlimited";
  return std::to_string(limit.rlim_cur / 1024) + " KiB";
}

}  // namespace quadring
