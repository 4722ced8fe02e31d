// Each signal is one threadsafe function, found by a number that is unique in the process.
//
// LIFETIMES
//   The registry's lock orders `signal`, which calls the threadsafe function, against the two ends of it: closeSignal,
//   and the finalizer that Node runs when the owner's environment ends. Whoever ends a signal removes it from the
//   registry while holding the lock alone; so a threadsafe function that `signal` finds is alive until the lock is let
//   go. The Signal itself is freed by the finalizer, which follows a closeSignal too.
//
// JOINING
//   `queued` is set by whoever signals first and cleared on the owner's thread just before the callback runs. What was
//   written before a joined signal is therefore seen by the callback: it was written before `queued` was cleared.
#include "signal.h"

#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "javascript.h"

namespace quadring {
namespace {

struct Signal {
  napi_env env = nullptr;
  napi_threadsafe_function function = nullptr;
  bool keeps_alive = false;
  std::atomic<bool> queued{false};
};

struct Registry {
  // Signalling takes it shared: signals of different threads do not wait for each other.
  std::shared_mutex lock;
  std::unordered_map<uint32_t, Signal*> signals;
  uint32_t last_id = 0;
};

Registry& TheRegistry() {
  // Never destroyed: threads may still signal while the process runs its static destructors.
  static auto* registry = new Registry;
  return *registry;
}

/** On the owner's thread. */
void RunCallback(napi_env env, napi_value callback, void* context, void*) {
  // No environment: Node empties the queue of a threadsafe function that is done for. The Signal is freed by then.
  if (env == nullptr || callback == nullptr) return;
  static_cast<Signal*>(context)->queued.exchange(false);
  napi_value receiver;
  napi_get_undefined(env, &receiver);
  if (napi_call_function(env, receiver, callback, 0, nullptr, nullptr) != napi_pending_exception) return;
  // Left pending, Node would print a deprecation and go on as if nothing had happened.
  napi_value exception;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
}

/** On the owner's thread, once the threadsafe function is done for; the only place where a Signal is freed. */
void Finalize(napi_env, void* data, void*) {
  auto* signal = static_cast<Signal*>(data);
  Registry& registry = TheRegistry();
  {
    std::unique_lock<std::shared_mutex> exclusive(registry.lock);
    for (auto entry = registry.signals.begin(); entry != registry.signals.end(); ++entry) {
      if (entry->second != signal) continue;
      registry.signals.erase(entry);
      break;
    }
  }
  delete signal;
}

Napi::Value CreateSignal(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsFunction()) {
    ThrowType(env, "callback must be a function");
    return Napi::Value();
  }
  auto* signal = new Signal;
  signal->env = env;
  // No bound on the queue is needed: `queued` allows one entry.
  if (napi_create_threadsafe_function(env, info[0], nullptr, Napi::String::New(env, "quadring.signal"), 0, 1, signal,
                                      Finalize, signal, RunCallback, &signal->function) != napi_ok) {
    delete signal;
    napi_throw_error(env, nullptr, "the signal could not be created");
    return Napi::Value();
  }
  napi_unref_threadsafe_function(env, signal->function);

  Registry& registry = TheRegistry();
  std::unique_lock<std::shared_mutex> exclusive(registry.lock);
  do {
    registry.last_id = (registry.last_id + 1) & 0x3fffffff;
  } while (registry.last_id == 0 || registry.signals.count(registry.last_id) != 0);
  registry.signals.emplace(registry.last_id, signal);
  return Napi::Number::New(env, registry.last_id);
}

// Called for every answer, hence without wrappers.
napi_value RaiseSignal(napi_env env, napi_callback_info info) {
  size_t argument_count = 1;
  napi_value argument;
  int64_t id;
  napi_get_cb_info(env, info, &argument_count, &argument, nullptr, nullptr);
  if (!GetInteger(env, argument, "id", 0, UINT32_MAX, &id)) return nullptr;
  Registry& registry = TheRegistry();
  std::shared_lock<std::shared_mutex> shared(registry.lock);
  const auto found = registry.signals.find(static_cast<uint32_t>(id));
  if (found == registry.signals.end()) return nullptr;
  Signal* signal = found->second;
  if (signal->queued.exchange(true)) return nullptr;
  // napi_closing: the owner's environment is ending and its finalizer comes next. `queued` stays set, so that nobody
  // calls a second time, which Node would count as one reference too many.
  napi_call_threadsafe_function(signal->function, nullptr, napi_tsfn_nonblocking);
  return nullptr;
}

/** The owner's signal of this id; null if there is none, or with an exception pending if it is another thread's. */
Signal* FindOwn(const Napi::CallbackInfo& info) {
  int64_t id;
  if (!GetInteger(info.Env(), info[0], "id", 0, UINT32_MAX, &id)) return nullptr;
  Registry& registry = TheRegistry();
  std::shared_lock<std::shared_mutex> shared(registry.lock);
  const auto found = registry.signals.find(static_cast<uint32_t>(id));
  if (found == registry.signals.end()) return nullptr;
  if (found->second->env == static_cast<napi_env>(info.Env())) return found->second;
  napi_throw_error(info.Env(), "ERR_WRONG_THREAD", "a signal belongs to the thread that created it");
  return nullptr;
}

void ReferSignal(const Napi::CallbackInfo& info) {
  Signal* signal = FindOwn(info);
  if (signal == nullptr) return;
  // Not ToBoolean, which aborts in a thread that is being terminated.
  bool keep_alive = false;
  napi_get_value_bool(info.Env(), info[1], &keep_alive);
  if (signal->keeps_alive == keep_alive) return;
  signal->keeps_alive = keep_alive;
  if (keep_alive) {
    napi_ref_threadsafe_function(info.Env(), signal->function);
  } else {
    napi_unref_threadsafe_function(info.Env(), signal->function);
  }
}

void CloseSignal(const Napi::CallbackInfo& info) {
  Signal* signal = FindOwn(info);
  if (signal == nullptr) return;
  {
    Registry& registry = TheRegistry();
    std::unique_lock<std::shared_mutex> exclusive(registry.lock);
    registry.signals.erase(info[0].As<Napi::Number>().Uint32Value());
  }
  // Nobody can find it any more. Abort drops a callback that is queued; the finalizer frees the rest.
  napi_release_threadsafe_function(signal->function, napi_tsfn_abort);
}

}  // namespace

void DefineSignals(Napi::Env env, Napi::Object exports) {
  napi_value raise;
  napi_create_function(env, "signal", NAPI_AUTO_LENGTH, RaiseSignal, nullptr, &raise);
  exports.Set("signal", raise);
  exports.Set("createSignal", Napi::Function::New<CreateSignal>(env, "createSignal"));
  exports.Set("referSignal", Napi::Function::New<ReferSignal>(env, "referSignal"));
  exports.Set("closeSignal", Napi::Function::New<CloseSignal>(env, "closeSignal"));
}

}  // namespace quadring
