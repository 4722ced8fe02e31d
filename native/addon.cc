// What the addon exports; src/native.ts is the contract. One instance per environment; what threads share is named by
// a number (a signal, a descriptor).
#include <napi.h>

#include "checksum.h"
#include "compression.h"
#include "files.h"
#include "huge_pages.h"
#include "javascript.h"
#include "kernel_features.h"
#include "memory.h"
#include "ring.h"
#include "ring_object.h"
#include "scheduling.h"
#include "signal.h"
#include "system_calls.h"
#include "watch.h"

namespace quadring {
namespace {

// The implementation travels as the function's data.
napi_value Crc32c(napi_env env, napi_callback_info info) {
  size_t argument_count = 4;
  napi_value arguments[4];
  void* implementation;
  napi_get_cb_info(env, info, &argument_count, arguments, nullptr, &implementation);
  Range range;
  int64_t seed;
  if (!GetRange(env, arguments, {"bytes", "start", "end"}, &range) ||
      !GetInteger(env, arguments[3], "seed", 0, UINT32_MAX, &seed)) {
    return nullptr;
  }
  const auto function = reinterpret_cast<Crc32cFunction>(implementation);
  napi_value result;
  napi_create_uint32(env, function(static_cast<uint32_t>(seed), range.bytes, range.length), &result);
  return result;
}

void DefineChecksums(Napi::Env env, Napi::Object exports) {
  const Crc32cImplementation& fastest = Crc32cFastest();
  napi_value function;
  void* implementation = reinterpret_cast<void*>(fastest.function);
  napi_create_function(env, "crc32c", NAPI_AUTO_LENGTH, Crc32c, implementation, &function);
  exports.Set("crc32c", function);
  implementation = reinterpret_cast<void*>(Crc32cPortable);
  napi_create_function(env, "crc32cPortable", NAPI_AUTO_LENGTH, Crc32c, implementation, &function);
  exports.Set("crc32cPortable", function);
  exports.Set("crc32cImplementation", Napi::String::New(env, fastest.name));
}

Napi::Value UndrainedRings(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), undrained_rings.load());
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  RingObject<Ring>::Define(env, exports);
  RingObject<SystemCalls>::Define(env, exports);
  exports.Set("undrainedRings", Napi::Function::New<UndrainedRings>(env, "undrainedRings"));
  DefineChecksums(env, exports);
  DefineCompression(env, exports);
  DefineSignals(env, exports);
  DefineWatches(env, exports);
  DefineFiles(env, exports);
  DefineMemory(env, exports);
  DefineHugePages(env, exports);
  DefineScheduling(env, exports);
  DefineKernelFeatures(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(quadring, Initialize)

}  // namespace quadring
