// Huge pages for memory that JavaScript has: asking for them, and finding out what came of it.
#ifndef QUADRING_HUGE_PAGES_H
#define QUADRING_HUGE_PAGES_H

#include <napi.h>

namespace quadring {

/** Adds adviseHugePages and hugePageBytes. */
void DefineHugePages(Napi::Env env, Napi::Object exports);

}  // namespace quadring

#endif
