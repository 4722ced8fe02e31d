// The JavaScript class around Ring or SystemCalls: arguments, lifetimes, the thread, and the end of the environment.
#ifndef QUADRING_RING_OBJECT_H
#define QUADRING_RING_OBJECT_H

#include <napi.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>

#include "backend.h"
#include "fixed_buffers.h"
#include "javascript.h"
#include "owner_thread.h"
#include "provided_buffers.h"
#include "record.h"
#include "ring_queue.h"

namespace quadring {

/** Rings of this process that were closed with something in flight. */
inline std::atomic<uint32_t> undrained_rings{0};

template <typename Backend>
class RingObject : public Napi::ObjectWrap<RingObject<Backend>> {
 public:
  static void Define(Napi::Env env, Napi::Object exports) {
    using Wrap = Napi::ObjectWrap<RingObject>;
    exports.Set(Backend::kClassName,
                Wrap::DefineClass(env, Backend::kClassName,
                                  {
                                      Wrap::InstanceMethod("attach", &RingObject::Attach, napi_default_method),
                                      Wrap::InstanceMethod("describe", &RingObject::Describe, napi_default_method),
                                      Wrap::InstanceMethod("close", &RingObject::Close, napi_default_method),
                                  }));
  }

  explicit RingObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<RingObject>(info), env_(info.Env()) {
    BackendOptions options;
    if (!ReadOptions(info, &options)) return;
    auto backend = std::make_unique<Backend>(options);
    if (Failure failure = backend->Open()) {
      ThrowFailure(env_, failure);
      return;
    }
    backend_ = std::move(backend);
    DefineTurn();
    // A worker that is terminated gets no chance to close: the environment's end does it, while the arrays still exist.
    napi_add_env_cleanup_hook(env_, OnEnvironmentEnd, this);
  }

  ~RingObject() override { CloseBackend(); }

 private:
  // `turn` is called for every batch. As a method of the prototype it would find its object by napi_unwrap, a look-up
  // of a private property: 105 ns for a turn that has nothing to do, and 570 ns for a batch of one NOP. As a property
  // of the object, which carries the address with it: 24 ns and 365 ns. The function refers to the object for as long
  // as it lives itself, so that the address stays good for whoever keeps only the function.
  void DefineTurn() {
    napi_value turn;
    if (napi_create_function(env_, "turn", NAPI_AUTO_LENGTH, Turn, this, &turn) != napi_ok) return;
    napi_property_descriptor property = {};
    property.attributes = napi_default;  // neither writable nor removable
    property.utf8name = "ring";
    property.value = this->Value();
    napi_define_properties(env_, turn, 1, &property);
    property.utf8name = "turn";
    property.value = turn;
    napi_define_properties(env_, this->Value(), 1, &property);
  }

  static napi_value Turn(napi_env env, napi_callback_info info) {
    size_t argument_count = 2;
    napi_value arguments[2];
    void* data;
    napi_get_cb_info(env, info, &argument_count, arguments, nullptr, &data);
    auto* object = static_cast<RingObject*>(data);
    if (!object->IsUsable()) return nullptr;
    Backend* backend = object->backend_.get();
    int64_t count;
    int64_t wait_microseconds;
    if (!GetInteger(env, arguments[0], "count", 0, backend->Room(), &count) ||
        !GetInteger(env, arguments[1], "waitMicroseconds", 0, INT32_MAX, &wait_microseconds)) {
      return nullptr;
    }
    const int written = backend->Turn(static_cast<uint32_t>(count), static_cast<uint32_t>(wait_microseconds));
    if (written < 0) {
      ThrowFailure(env, backend->failure());
      return nullptr;
    }
    napi_value result;
    return napi_create_int32(env, written, &result) == napi_ok ? result : nullptr;
  }

  void Attach(const Napi::CallbackInfo& info) {
    int64_t region;
    int64_t fixed_offset;
    int64_t fixed_length;
    int64_t select_bytes;
    uint8_t* base;
    size_t length;
    if (!IsUsable() || !GetInteger(env_, info[0], "region", 0, kRegionsMax - 1, &region) ||
        !GetBytes(env_, info[1], "memory", &base, &length) ||
        !GetInteger(env_, info[2], "fixedOffset", 0, static_cast<int64_t>(length), &fixed_offset) ||
        !GetInteger(env_, info[3], "fixedLength", 0, static_cast<int64_t>(length) - fixed_offset, &fixed_length) ||
        !GetInteger(env_, info[4], "selectBytes", 0, ProvidedBuffers::kBytesMax, &select_bytes)) {
      return;
    }
    constexpr int64_t kSlice = FixedBuffers::kSliceBytes;
    if (fixed_offset % kSlice != 0 || fixed_length % kSlice != 0) {
      return ThrowRange(env_, "fixedOffset and fixedLength must be multiples of 1 MiB");
    }
    if (select_bytes % static_cast<int64_t>(ProvidedBuffers::kBytesUnit) != 0) {
      return ThrowRange(env_, "selectBytes must be a multiple of 4096");
    }
    if (select_bytes > 0 && selecting_region_ >= 0 && selecting_region_ != region) {
      return ThrowRange(env_, "selectBytes must be 0: region " + std::to_string(selecting_region_) +
                                  " has provided buffers, and a ring has one such region at a time");
    }
    const FixedRange fixed = {static_cast<size_t>(fixed_offset), static_cast<size_t>(fixed_length)};
    if (Failure failure = backend_->Attach(static_cast<uint32_t>(region), base, length, fixed,
                                           static_cast<uint32_t>(select_bytes))) {
      return ThrowFailure(env_, failure);
    }
    if (select_bytes > 0) {
      selecting_region_ = region;
    } else if (selecting_region_ == region) {
      selecting_region_ = -1;
    }
    memories_[region] = Napi::Persistent(info[1].As<Napi::Object>());
  }

  Napi::Value Describe(const Napi::CallbackInfo& info) {
    if (!IsUsable()) return Napi::Value();
    const BackendDescription description = backend_->Describe();
    Napi::Object object = Napi::Object::New(env_);
    object.Set("flags", FlagArray(description.flags));
    object.Set("entries", Napi::Number::New(env_, description.entries));
    object.Set("completionEntries", Napi::Number::New(env_, description.completion_entries));
    object.Set("registeredBytes", Napi::Number::New(env_, static_cast<double>(description.registered_bytes)));
    object.Set("registrationRefusal", TextOrNull(description.registration_refusal));
    object.Set("fixedFiles", Napi::Number::New(env_, description.fixed_files));
    object.Set("fixedFilesRefusal", TextOrNull(description.fixed_files_refusal));
    object.Set("providedBuffers", Napi::Number::New(env_, description.provided_buffers));
    object.Set("providedBuffersRefusal", TextOrNull(description.provided_buffers_refusal));
    object.Set("descriptor", Napi::Number::New(env_, description.descriptor));
    object.Set("pollingRefusal", TextOrNull(description.polling_refusal));
    object.Set("pollerFlags", FlagArray(description.poller_flags));
    object.Set("pollerRefusal", TextOrNull(description.poller_refusal));
    object.Set("workersMax", Napi::Number::New(env_, description.workers_max));
    object.Set("workersRefusal", TextOrNull(description.workers_refusal));
    object.Set("idlePriority", Napi::Boolean::New(env_, description.idle_priority_refusal.empty()));
    object.Set("idlePriorityRefusal", TextOrNull(description.idle_priority_refusal));
    return object;
  }

  Napi::Value FlagArray(const std::vector<const char*>& names) const {
    Napi::Array array = Napi::Array::New(env_);
    uint32_t index = 0;
    for (const char* name : names) array.Set(index++, Napi::String::New(env_, name));
    return array;
  }

  Napi::Value TextOrNull(const std::string& text) const {
    return text.empty() ? env_.Null() : Napi::String::New(env_, text);
  }

  void Close(const Napi::CallbackInfo&) {
    if (backend_ == nullptr) return;
    if (!IsUsable()) return;
    if (Failure failure = CloseBackend()) ThrowFailure(env_, failure);
  }

  bool IsUsable() const {
    if (backend_ == nullptr) {
      napi_throw_error(env_, "ERR_RING_CLOSED", "the ring is closed");
      return false;
    }
    if (!owner_.IsCurrent()) {
      napi_throw_error(env_, "ERR_WRONG_THREAD", "a ring belongs to the thread that made it");
      return false;
    }
    return true;
  }

  Failure CloseBackend() {
    if (backend_ == nullptr) return Failure{};
    napi_remove_env_cleanup_hook(env_, OnEnvironmentEnd, this);
    Failure failure = backend_->Close();
    backend_.reset();
    // The kernel may still write into memory of a ring that did not drain: it must never be collected. Here it is kept
    // for as long as this environment lives; whoever has it in another one keeps it there (see undrainedRings).
    if (failure) {
      undrained_rings++;
      for (Napi::ObjectReference& memory : memories_) memory.SuppressDestruct();
    } else {
      for (Napi::ObjectReference& memory : memories_) memory.Reset();
    }
    return failure;
  }

  static void OnEnvironmentEnd(void* self) { static_cast<RingObject*>(self)->CloseBackend(); }

  bool ReadOptions(const Napi::CallbackInfo& info, BackendOptions* options) {
    if (!info[0].IsObject()) {
      ThrowType(env_, "the options must be an object");
      return false;
    }
    const auto object = info[0].As<Napi::Object>();
    int64_t entries;
    int64_t eventfd;
    int64_t notified = -1;
    const Napi::Value notified_value = object.Get("notifiedEventfd");
    if (!GetInteger(env_, object.Get("entries"), "entries", kEntriesMin, kEntriesMax, &entries) ||
        !GetInteger(env_, object.Get("eventfd"), "eventfd", 0, INT32_MAX, &eventfd) ||
        (!notified_value.IsUndefined() &&
         !GetInteger(env_, notified_value, "notifiedEventfd", 0, INT32_MAX, &notified))) {
      return false;
    }
    if ((entries & (entries - 1)) != 0) {
      ThrowRange(env_, "entries must be a power of two");
      return false;
    }
    size_t names_length;
    size_t record_words;
    size_t completion_words;
    const Napi::Value names = object.Get("names");
    if (!GetWords(object, "records", &options->records, &record_words) ||
        !GetWords(object, "completions", &options->completions, &completion_words) ||
        !GetBytes(env_, names, "names", &options->names, &names_length)) {
      return false;
    }
    arrays_[2] = Napi::Persistent(names.As<Napi::Object>());
    const auto count = static_cast<size_t>(entries);
    if (record_words < count * kRecordWords || names_length < count * kNameStride ||
        completion_words < count * kCompletionsPerEntry * kCompletionWords) {
      ThrowRange(env_, "records, names or completions are too short for " + std::to_string(entries) + " entries");
      return false;
    }
    options->entries = static_cast<uint32_t>(entries);
    const size_t capacity = std::min<size_t>(completion_words / kCompletionWords, INT32_MAX);
    options->completion_capacity = static_cast<uint32_t>(capacity);
    options->eventfd = static_cast<int>(eventfd);
    options->notified_eventfd = static_cast<int>(notified);
    // Not ToBoolean: in a thread that is being terminated it has no value to give, and what it gives instead aborts.
    const Napi::Value single_issuer = object.Get("singleIssuer");
    options->single_issuer = false;
    napi_get_value_bool(env_, single_issuer, &options->single_issuer);
    napi_get_value_bool(env_, object.Get("pollsCompletions"), &options->polls_completions);
    return ReadCounters(object, options) && ReadPolling(object.Get("polling"), &options->polling) &&
           ReadWorkers(object.Get("workers"), &options->workers);
  }

  bool ReadCounters(const Napi::Object& object, BackendOptions* options) {
    const Napi::Value value = object.Get("counters");
    napi_typedarray_type type;
    size_t length;
    void* data = nullptr;
    if (napi_get_typedarray_info(env_, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_float64_array || length < kCounters) {
      ThrowType(env_, "counters must be a Float64Array of " + std::to_string(kCounters));
      return false;
    }
    options->counters = static_cast<double*>(data);
    arrays_[3] = Napi::Persistent(value.As<Napi::Object>());
    return true;
  }

  /** Null, or not there: none is wanted. */
  bool ReadPolling(const Napi::Value& value, SubmissionPolling* polling) {
    if (!value.IsObject()) return true;
    const auto object = value.As<Napi::Object>();
    int64_t idle_milliseconds;
    int64_t cpu;
    int64_t shared_with;
    if (!GetInteger(env_, object.Get("idleMilliseconds"), "idleMilliseconds", 1, INT32_MAX, &idle_milliseconds) ||
        !GetInteger(env_, object.Get("cpu"), "cpu", -1, INT32_MAX, &cpu) ||
        !GetInteger(env_, object.Get("sharedWith"), "sharedWith", -1, INT32_MAX, &shared_with)) {
      return false;
    }
    polling->wanted = true;
    polling->idle_milliseconds = static_cast<uint32_t>(idle_milliseconds);
    polling->cpu = static_cast<int>(cpu);
    polling->shared_with = static_cast<int>(shared_with);
    return true;
  }

  /** Null, or not there: they are as the kernel likes. */
  bool ReadWorkers(const Napi::Value& value, WorkerRequest* workers) {
    if (!value.IsObject()) return true;
    const auto object = value.As<Napi::Object>();
    int64_t threads_max;
    if (!GetInteger(env_, object.Get("threadsMax"), "threadsMax", 0, UINT16_MAX, &threads_max)) return false;
    workers->threads_max = static_cast<uint32_t>(threads_max);
    const Napi::Value cpus = object.Get("cpus");
    if (!cpus.IsArray()) {
      ThrowType(env_, "cpus must be an array");
      return false;
    }
    const auto list = cpus.As<Napi::Array>();
    for (uint32_t i = 0; i < std::min<uint32_t>(list.Length(), CPU_SETSIZE); i++) {
      int64_t cpu;
      if (!GetInteger(env_, list.Get(i), "a core", 0, CPU_SETSIZE - 1, &cpu)) return false;
      workers->cpus.push_back(static_cast<uint32_t>(cpu));
    }
    return true;
  }

  bool GetWords(const Napi::Object& object, const char* name, int32_t** words, size_t* length) {
    const Napi::Value value = object.Get(name);
    napi_typedarray_type type;
    void* data = nullptr;
    if (napi_get_typedarray_info(env_, value, &type, length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_int32_array) {
      ThrowType(env_, std::string(name) + " must be an Int32Array");
      return false;
    }
    *words = static_cast<int32_t*>(data);
    arrays_[name[0] == 'r' ? 0 : 1] = Napi::Persistent(value.As<Napi::Object>());
    return true;
  }

  Napi::Env env_;
  OwnerThread owner_;
  std::unique_ptr<Backend> backend_;
  /** The region that was attached with selectBytes, or -1. */
  int64_t selecting_region_ = -1;
  // Keep alive what the backend has addresses of. Their buffers must not be transferred to another thread.
  Napi::ObjectReference arrays_[4];
  Napi::ObjectReference memories_[kRegionsMax];
};

}  // namespace quadring

#endif
