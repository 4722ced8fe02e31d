// What this kernel's io_uring can do, found out by asking for each thing on rings that are given back at once.
#ifndef QUADRING_KERNEL_FEATURES_H
#define QUADRING_KERNEL_FEATURES_H

#include <napi.h>

namespace quadring {

/** Adds probeKernel. */
void DefineKernelFeatures(Napi::Env env, Napi::Object exports);

}  // namespace quadring

#endif
