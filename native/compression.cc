// The library checks every length itself: whatever the bytes are, and even if another thread changes them meanwhile,
// nothing outside of the two ranges is read or written. What is checked here is that the ranges lie in their arrays.
#include "compression.h"

#include <lz4.h>

#include <algorithm>
#include <climits>
#include <memory>

#include "javascript.h"

namespace quadring {
namespace {

constexpr int kFastest = 1;

/**
 * What the compressor works in, 16 KiB: one for each environment, which is one for each thread, so that no call
 * allocates. The library says how large it is: it may be a shared one, and newer than the headers.
 */
using State = std::unique_ptr<char[]>;

/** REQUIRES: the library takes so much; for longer ranges there is a RangeError pending, and the answer is false. */
bool GetSource(napi_env env, const napi_value* arguments, int length_max, Range* source) {
  if (!GetRange(env, arguments, {"source", "start", "end"}, source)) return false;
  if (source->length <= static_cast<size_t>(length_max)) return true;
  ThrowRange(env, "end - start must be at most " + std::to_string(length_max));
  return false;
}

int Capacity(const Range& target) { return static_cast<int>(std::min<size_t>(target.length, INT_MAX)); }

napi_value Number(napi_env env, int value) {
  napi_value result;
  return napi_create_int32(env, value, &result) == napi_ok ? result : nullptr;
}

napi_value CompressBound(napi_env env, napi_callback_info info) {
  size_t argument_count = 1;
  napi_value argument;
  napi_get_cb_info(env, info, &argument_count, &argument, nullptr, nullptr);
  int64_t length;
  if (!GetInteger(env, argument, "length", 0, LZ4_MAX_INPUT_SIZE, &length)) return nullptr;
  return Number(env, LZ4_compressBound(static_cast<int>(length)));
}

// The state travels as the function's data.
napi_value Compress(napi_env env, napi_callback_info info) {
  size_t argument_count = 6;
  napi_value arguments[6];
  void* state;
  napi_get_cb_info(env, info, &argument_count, arguments, nullptr, &state);
  Range source;
  Range target;
  if (!GetSource(env, arguments, LZ4_MAX_INPUT_SIZE, &source) ||
      !GetRange(env, arguments + 3, {"target", "targetStart", "targetEnd"}, &target)) {
    return nullptr;
  }
  return Number(env, LZ4_compress_fast_extState(state, reinterpret_cast<const char*>(source.bytes),
                                                reinterpret_cast<char*>(target.bytes), static_cast<int>(source.length),
                                                Capacity(target), kFastest));
}

napi_value Decompress(napi_env env, napi_callback_info info) {
  size_t argument_count = 6;
  napi_value arguments[6];
  napi_get_cb_info(env, info, &argument_count, arguments, nullptr, nullptr);
  Range source;
  Range target;
  if (!GetSource(env, arguments, INT_MAX, &source) ||
      !GetRange(env, arguments + 3, {"target", "targetStart", "targetEnd"}, &target)) {
    return nullptr;
  }
  const int produced =
      LZ4_decompress_safe(reinterpret_cast<const char*>(source.bytes), reinterpret_cast<char*>(target.bytes),
                          static_cast<int>(source.length), Capacity(target));
  return Number(env, std::max(produced, -1));
}

}  // namespace

void DefineCompression(Napi::Env env, Napi::Object exports) {
  auto* state = new State(new char[static_cast<size_t>(LZ4_sizeofState())]);
  env.AddCleanupHook([](State* held) { delete held; }, state);
  napi_value function;
  napi_create_function(env, "lz4CompressBound", NAPI_AUTO_LENGTH, CompressBound, nullptr, &function);
  exports.Set("lz4CompressBound", function);
  napi_create_function(env, "lz4Compress", NAPI_AUTO_LENGTH, Compress, state->get(), &function);
  exports.Set("lz4Compress", function);
  napi_create_function(env, "lz4Decompress", NAPI_AUTO_LENGTH, Decompress, nullptr, &function);
  exports.Set("lz4Decompress", function);
}

}  // namespace quadring
