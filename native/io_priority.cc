#include "io_priority.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "errors.h"

namespace quadring {
namespace {

// The C library wraps neither call. Process 0 is the calling thread.
constexpr int kWhoProcess = 1;
constexpr int kClassShift = 13;

struct ThreadPriority {
  bool tried = false;
  bool idle = false;
  /** What the thread had before anything was changed. */
  int usual = 0;
  int refusal = 0;
};

// Without a destructor: the addon may be unloaded before its threads end.
thread_local ThreadPriority thread_priority;

/** 0, or an errno. */
int Set(int priority) { return syscall(SYS_ioprio_set, kWhoProcess, 0, priority) == 0 ? 0 : errno; }

int Try(ThreadPriority* state) {
  const auto usual = static_cast<int>(syscall(SYS_ioprio_get, kWhoProcess, 0));
  if (usual < 0) return errno;
  // No class at all may come with a level, which is not taken back.
  state->usual = usual >> kClassShift == 0 ? 0 : usual;
  // A priority that somebody with more rights gave this thread could not be had again: then it is not given up.
  for (const int priority : {state->usual, int{kIdlePriority}, state->usual}) {
    if (const int error_number = Set(priority)) return error_number;
  }
  return 0;
}

}  // namespace

int IdlePriorityRefusal() {
  ThreadPriority& state = thread_priority;
  if (!state.tried) {
    state.tried = true;
    state.refusal = Try(&state);
  }
  return state.refusal;
}

std::string IdlePriorityRefusalText() {
  const int refusal = IdlePriorityRefusal();
  return refusal == 0 ? "" : "no idle I/O priority: " + ErrorName(refusal);
}

void SetIdlePriority(bool idle) {
  ThreadPriority& state = thread_priority;
  if (idle == state.idle || (idle && IdlePriorityRefusal() != 0)) return;
  if (const int error_number = Set(idle ? kIdlePriority : state.usual)) {
    state.refusal = error_number;
    return;
  }
  state.idle = idle;
}

}  // namespace quadring
