// How the kernel shares the cores out: the calling thread's time slice.
#ifndef QUADRING_SCHEDULING_H
#define QUADRING_SCHEDULING_H

#include <napi.h>

namespace quadring {

/** Adds setTimeSlice. */
void DefineScheduling(Napi::Env env, Napi::Object exports);

}  // namespace quadring

#endif
