// Between C++ and JavaScript: arguments and errors. Everything here throws by leaving an exception pending.
//
// What runs often (turn, crc32c, LZ4, signal, wakeEventfd) uses the plain Node-API calls; what runs rarely uses
// node-addon-api. Measured on a checksum of nothing, with its four arguments: 42 ns plain, 72 ns wrapped.
#ifndef QUADRING_JAVASCRIPT_H
#define QUADRING_JAVASCRIPT_H

#include <napi.h>

#include <string>

#include "errors.h"

namespace quadring {

void ThrowFailure(napi_env env, const Failure& failure);
void ThrowRange(napi_env env, const std::string& message);
void ThrowType(napi_env env, const std::string& message);
void ThrowOutOfRange(napi_env env, const char* name, int64_t min, int64_t max, double value);

/** The bytes of a Uint8Array (a Buffer is one), or false with a TypeError pending. */
inline bool GetBytes(napi_env env, napi_value value, const char* name, uint8_t** bytes, size_t* length) {
  napi_typedarray_type type;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array) {
    ThrowType(env, std::string(name) + " must be a Uint8Array");
    return false;
  }
  *bytes = static_cast<uint8_t*>(data);
  return true;
}

/** A number from `min` to `max`, or false with an exception pending. A fraction is cut off; NaN is out of range. */
inline bool GetInteger(napi_env env, napi_value value, const char* name, int64_t min, int64_t max, int64_t* result) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) {
    ThrowType(env, std::string(name) + " must be a number");
    return false;
  }
  if (number >= static_cast<double>(min) && number <= static_cast<double>(max)) {
    *result = static_cast<int64_t>(number);
    return true;
  }
  ThrowOutOfRange(env, name, min, max, number);
  return false;
}

struct Range {
  uint8_t* bytes;
  size_t length;
};

struct RangeNames {
  const char* bytes;
  const char* start;
  const char* end;
};

/** The bytes [start, end) of a Uint8Array, from three arguments; or false with an exception pending. */
inline bool GetRange(napi_env env, const napi_value* arguments, const RangeNames& names, Range* range) {
  uint8_t* bytes;
  size_t length;
  int64_t start;
  int64_t end;
  if (!GetBytes(env, arguments[0], names.bytes, &bytes, &length) ||
      !GetInteger(env, arguments[2], names.end, 0, static_cast<int64_t>(length), &end) ||
      !GetInteger(env, arguments[1], names.start, 0, end, &start)) {
    return false;
  }
  *range = Range{bytes + start, static_cast<size_t>(end - start)};
  return true;
}

}  // namespace quadring

#endif
