// Calls JavaScript from its event loop when an eventfd was written to: a ring's is when it has completions.
#ifndef QUADRING_WATCH_H
#define QUADRING_WATCH_H

#include <napi.h>

namespace quadring {

/** Adds watchEventfd and unwatch. */
void DefineWatches(Napi::Env env, Napi::Object exports);

}  // namespace quadring

#endif
