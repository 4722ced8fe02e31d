#include "javascript.h"

namespace quadring {

void ThrowFailure(napi_env raw_env, const Failure& failure) {
  Napi::Env env(raw_env);
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, ErrorName(failure.error_number)));
  error.Set("errno", Napi::Number::New(env, failure.error_number));
  error.Set("syscall", Napi::String::New(env, failure.system_call));
  error.ThrowAsJavaScriptException();
}

void ThrowRange(napi_env env, const std::string& message) {
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message.c_str());
}

void ThrowType(napi_env env, const std::string& message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message.c_str());
}

void ThrowOutOfRange(napi_env env, const char* name, int64_t min, int64_t max, double value) {
  ThrowRange(env, std::string(name) + " must be from " + std::to_string(min) + " to " + std::to_string(max) +
                      "; it is " + std::to_string(value));
}

}  // namespace quadring
