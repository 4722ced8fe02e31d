#include "scheduling.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "errors.h"
#include "javascript.h"

namespace quadring {
namespace {

/** The kernel's sched_attr in its first version; C libraries have no name for it before glibc 2.41. */
struct SchedulingAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  /** Nanoseconds; of an ordinary thread, from Linux 6.12 on, how long a slice it asks for. */
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};
static_assert(sizeof(SchedulingAttributes) == 48, "SCHED_ATTR_SIZE_VER0");

constexpr uint32_t kMicrosecondsMax = 100'000;

/**
 * setTimeSlice(microseconds): whoever asks for a short slice is preferred when it wakes up, and gives the core back sooner;
 * its share stays the same. A thread that somebody gave another policy stays as it is. Kernels before 6.12 take the
 * value and make nothing of it.
 */
Napi::Value SetTimeSlice(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  uint32_t microseconds = 0;
  if (info.Length() != 1 || napi_get_value_uint32(env, info[0], &microseconds) != napi_ok || microseconds == 0 ||
      microseconds > kMicrosecondsMax) {
    ThrowType(env, "microseconds must be a number from 1 to 100000");
    return Napi::Value();
  }
  SchedulingAttributes attributes = {};
  constexpr int kThisThread = 0;
  if (syscall(SYS_sched_getattr, kThisThread, &attributes, sizeof attributes, 0) < 0) {
    ThrowFailure(env, SystemFailure(errno, "sched_getattr"));
    return Napi::Value();
  }
  if (attributes.policy != SCHED_OTHER) return env.Undefined();
  attributes.runtime = uint64_t{microseconds} * 1000;
  if (syscall(SYS_sched_setattr, kThisThread, &attributes, 0) < 0) {
    ThrowFailure(env, SystemFailure(errno, "sched_setattr"));
    return Napi::Value();
  }
  return env.Undefined();
}

}  // namespace

void DefineScheduling(Napi::Env env, Napi::Object exports) {
  exports.Set("setTimeSlice", Napi::Function::New(env, SetTimeSlice, "setTimeSlice"));
}

}  // namespace quadring
