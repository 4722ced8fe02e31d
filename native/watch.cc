// A ring is not watched by its own descriptor: with DEFER_TASKRUN a completion that waits for its thread to come by makes
// nobody who polls it look (Linux 6.3 on); an eventfd that is registered with the ring is written to then.
//
// LIFETIMES
//   A Watch is a handle of the environment's event loop, which owns it until its close callback has run: there, and only
//   there, it is freed. Whoever stops it, `unwatch` or the end of the environment, closes the handle once. The end is told
//   by a hook that Node waits for; hooks run in the reverse order of their making, so one that was made after a ring runs
//   before the ring's, while the descriptor is still the ring's.
//
// THREAD SAFETY
//   None is needed: everything here runs on the environment's own thread.
#include "watch.h"

#include <unistd.h>
#include <uv.h>

#include <map>

#include "javascript.h"

namespace quadring {
namespace {

struct Watch;

/** Of one environment, by number. */
struct Watches {
  std::map<uint32_t, Watch*> open;
  uint32_t last_id = 0;
};

struct Watch {
  uv_poll_t handle;
  napi_env env = nullptr;
  napi_ref callback = nullptr;
  napi_async_context context = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  Watches* watches = nullptr;
  uint32_t id = 0;
  int descriptor = -1;
};

void OnReadable(uv_poll_t* handle, int, int) {
  auto* watch = static_cast<Watch*>(handle->data);
  // What is written from here on calls again. libuv has made the descriptor one that does not block.
  uint64_t count;
  if (read(watch->descriptor, &count, sizeof count) < 0) return;
  napi_env env = watch->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value callback;
  napi_value receiver;
  if (napi_get_reference_value(env, watch->callback, &callback) == napi_ok &&
      napi_get_global(env, &receiver) == napi_ok &&
      napi_make_callback(env, watch->context, receiver, callback, 0, nullptr, nullptr) == napi_pending_exception) {
    napi_value exception;
    if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
  }
  napi_close_handle_scope(env, scope);
}

void OnClosed(uv_handle_t* handle) {
  auto* watch = static_cast<Watch*>(handle->data);
  napi_remove_async_cleanup_hook(watch->hook);
  delete watch;
}

/** What needs the environment goes at once; the rest when the event loop has let the handle go. */
void CloseWatch(Watch* watch) {
  watch->watches->open.erase(watch->id);
  uv_poll_stop(&watch->handle);
  napi_async_destroy(watch->env, watch->context);
  napi_delete_reference(watch->env, watch->callback);
  uv_close(reinterpret_cast<uv_handle_t*>(&watch->handle), OnClosed);
}

void OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* argument) {
  auto* watch = static_cast<Watch*>(argument);
  // One that was stopped is being closed already.
  if (watch->watches->open.count(watch->id) != 0) CloseWatch(watch);
}

Napi::Value WatchEventfd(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  int64_t descriptor;
  if (!GetInteger(env, info[0], "descriptor", 0, INT32_MAX, &descriptor)) return Napi::Value();
  if (!info[1].IsFunction()) {
    ThrowType(env, "callback must be a function");
    return Napi::Value();
  }
  uv_loop_t* loop;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return Napi::Value();
  auto* watch = new Watch;
  const int failure = uv_poll_init(loop, &watch->handle, static_cast<int>(descriptor));
  if (failure != 0) {
    delete watch;
    ThrowFailure(env, SystemFailure(-failure, "epoll_ctl"));
    return Napi::Value();
  }
  auto* watches = static_cast<Watches*>(info.Data());
  watch->handle.data = watch;
  watch->env = env;
  watch->descriptor = static_cast<int>(descriptor);
  watch->watches = watches;
  watch->id = ++watches->last_id;
  watches->open.emplace(watch->id, watch);
  napi_create_reference(env, info[1], 1, &watch->callback);
  napi_async_init(env, nullptr, Napi::String::New(env, "quadring.watch"), &watch->context);
  napi_add_async_cleanup_hook(env, OnEnvironmentEnd, watch, &watch->hook);
  uv_poll_start(&watch->handle, UV_READABLE, OnReadable);
  uv_unref(reinterpret_cast<uv_handle_t*>(&watch->handle));
  return Napi::Number::New(env, watch->id);
}

void Unwatch(const Napi::CallbackInfo& info) {
  int64_t id;
  if (!GetInteger(info.Env(), info[0], "id", 0, UINT32_MAX, &id)) return;
  auto* watches = static_cast<Watches*>(info.Data());
  const auto found = watches->open.find(static_cast<uint32_t>(id));
  if (found != watches->open.end()) CloseWatch(found->second);
}

}  // namespace

void DefineWatches(Napi::Env env, Napi::Object exports) {
  auto* watches = new Watches;
  // Hooks of watches, made later, run before; what they close asynchronously does not look here any more.
  env.AddCleanupHook([](Watches* ended) { delete ended; }, watches);
  exports.Set("watchEventfd", Napi::Function::New<WatchEventfd>(env, "watchEventfd", watches));
  exports.Set("unwatch", Napi::Function::New<Unwatch>(env, "unwatch", watches));
}

}  // namespace quadring
