// Copies between typed arrays: what JavaScript does in small steps where one of them is shared memory.
#ifndef QUADRING_MEMORY_H
#define QUADRING_MEMORY_H

#include <napi.h>

namespace quadring {

/** Adds copyBytes. */
void DefineMemory(Napi::Env env, Napi::Object exports);

}  // namespace quadring

#endif
