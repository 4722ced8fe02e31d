// The thread that something belongs to. Whoever else comes near it is a defect, and ends the process: an assertion that is
// always on, because there is no telling what a ring does that two threads use.
#ifndef QUADRING_OWNER_THREAD_H
#define QUADRING_OWNER_THREAD_H

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace quadring {

/** A system call once per thread; later calls cost a load. */
inline pid_t CurrentThread() {
  static thread_local const pid_t id = static_cast<pid_t>(syscall(SYS_gettid));
  return id;
}

class OwnerThread {
 public:
  bool IsCurrent() const { return CurrentThread() == id_; }
  /** `act`: what is refused to others, for people. */
  void Require(const char* act) const {
    if (IsCurrent()) return;
    fprintf(stderr, "quadring: a ring belongs to the thread that made it, which is not this one: %s\n", act);
    abort();
  }

 private:
  const pid_t id_ = CurrentThread();
};

}  // namespace quadring

#endif
