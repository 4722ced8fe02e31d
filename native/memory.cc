#include "memory.h"

#include <cstring>

#include "javascript.h"

namespace quadring {
namespace {

// Called for every large value, hence without wrappers.
napi_value CopyBytes(napi_env env, napi_callback_info info) {
  size_t argument_count = 5;
  napi_value arguments[5];
  napi_get_cb_info(env, info, &argument_count, arguments, nullptr, nullptr);
  Range source;
  uint8_t* target;
  size_t target_length;
  int64_t at;
  if (!GetRange(env, arguments, {"source", "start", "end"}, &source) ||
      !GetBytes(env, arguments[3], "target", &target, &target_length) ||
      !GetInteger(env, arguments[4], "at", 0, static_cast<int64_t>(target_length), &at)) {
    return nullptr;
  }
  if (source.length > target_length - static_cast<size_t>(at)) {
    ThrowRange(env, "the target has no room for that at its place");
    return nullptr;
  }
  // Nothing where there is nothing: the addresses of empty memory need not be any.
  if (source.length > 0) memmove(target + at, source.bytes, source.length);
  return nullptr;
}

}  // namespace

void DefineMemory(Napi::Env env, Napi::Object exports) {
  napi_value copy;
  napi_create_function(env, "copyBytes", NAPI_AUTO_LENGTH, CopyBytes, nullptr, &copy);
  exports.Set("copyBytes", copy);
}

}  // namespace quadring
