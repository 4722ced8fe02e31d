// probeKernel(): which set-up flags, registrations, operations and features the kernel has.
//
// A version says little: distributions take parts back to older kernels, and sandboxes refuse single calls. So each thing is
// tried, with the companions that it needs, on a ring of its own. Nothing is submitted. A ring that polls for submissions
// has a thread of the kernel for the moment that it lives.
#include "kernel_features.h"

#include <liburing.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "errors.h"
#include "javascript.h"
#include "ring_errors.h"
#include "ring_setup.h"

namespace quadring {
namespace {

constexpr uint32_t kEntries = 4;
constexpr uint32_t kCompletionEntries = 64;
/** Of a ring that polls for submissions: it sleeps as soon as it can. */
constexpr uint32_t kIdleMilliseconds = 1;

// By number: headers may be older than the kernel.
constexpr uint32_t kIopoll = 1U << 0;
constexpr uint32_t kSqpoll = 1U << 1;
constexpr uint32_t kSqAffinity = 1U << 2;
constexpr uint32_t kCqsize = 1U << 3;
constexpr uint32_t kAttachWq = 1U << 5;
constexpr uint32_t kSubmitAll = 1U << 7;
constexpr uint32_t kCoopTaskrun = 1U << 8;
constexpr uint32_t kSingleIssuer = 1U << 12;
constexpr uint32_t kDeferTaskrun = 1U << 13;
constexpr uint32_t kNoSqarray = 1U << 16;

struct Named {
  const char* name;
  uint32_t value;
};

constexpr Named kSetUps[] = {
    {"SINGLE_ISSUER", kSingleIssuer},
    {"DEFER_TASKRUN", kSingleIssuer | kDeferTaskrun},
    {"COOP_TASKRUN", kCoopTaskrun},
    {"SUBMIT_ALL", kSubmitAll},
    {"CQSIZE", kCqsize},
    {"NO_SQARRAY", kNoSqarray},
    {"SQPOLL", kSqpoll | kSingleIssuer},
    {"SQ_AFF", kSqpoll | kSqAffinity},
    {"ATTACH_WQ", kSqpoll | kAttachWq},
    {"SQPOLL with COOP_TASKRUN", kSqpoll | kCoopTaskrun},
    {"SQPOLL with DEFER_TASKRUN", kSqpoll | kSingleIssuer | kDeferTaskrun},
    {"IOPOLL", kIopoll | kSingleIssuer},
    {"IOPOLL with DEFER_TASKRUN", kIopoll | kSingleIssuer | kDeferTaskrun},
    {"IOPOLL with SQPOLL", kIopoll | kSqpoll | kSingleIssuer},
};

constexpr Named kFeatures[] = {
    {"SINGLE_MMAP", 1U << 0},     {"NODROP", 1U << 1},        {"SUBMIT_STABLE", 1U << 2},
    {"RW_CUR_POS", 1U << 3},      {"CUR_PERSONALITY", 1U << 4}, {"FAST_POLL", 1U << 5},
    {"POLL_32BITS", 1U << 6},     {"SQPOLL_NONFIXED", 1U << 7}, {"EXT_ARG", 1U << 8},
    {"NATIVE_WORKERS", 1U << 9},  {"RSRC_TAGS", 1U << 10},    {"CQE_SKIP", 1U << 11},
    {"LINKED_FILE", 1U << 12},    {"REG_REG_RING", 1U << 13},
};

/** Those that the rings use, or could wake each other with. */
constexpr Named kOperations[] = {
    {"NOP", 0},        {"FSYNC", 3},      {"READ_FIXED", 4}, {"WRITE_FIXED", 5}, {"TIMEOUT", 11},  {"ASYNC_CANCEL", 14},
    {"FALLOCATE", 17}, {"OPENAT", 18},    {"CLOSE", 19},     {"FILES_UPDATE", 20}, {"STATX", 21},  {"READ", 22},
    {"WRITE", 23},     {"FADVISE", 24},   {"RENAMEAT", 35},  {"UNLINKAT", 36},   {"MSG_RING", 40}, {"FUTEX_WAIT", 51},
    {"FUTEX_WAKE", 52}, {"FTRUNCATE", 55},
};

/** A descriptor, or a negative errno. */
int SetUp(uint32_t flags, int attached_to, io_uring_params* params) {
  memset(params, 0, sizeof *params);
  params->flags = flags;
  if (flags & kCqsize) params->cq_entries = kCompletionEntries;
  if (flags & kSqpoll) params->sq_thread_idle = kIdleMilliseconds;
  if (flags & kSqAffinity) {
    const int cpu = sched_getcpu();
    params->sq_thread_cpu = cpu < 0 ? 0 : static_cast<uint32_t>(cpu);
  }
  if (flags & kAttachWq) params->wq_fd = static_cast<uint32_t>(attached_to);
  const long result = syscall(__NR_io_uring_setup, kEntries, params);
  return result < 0 ? -errno : static_cast<int>(result);
}

/** 0, or a negative errno. */
int TrySetUp(uint32_t flags) {
  io_uring_params params;
  int attached_to = -1;
  if (flags & kAttachWq) {
    attached_to = SetUp(flags & ~kAttachWq, -1, &params);
    if (attached_to < 0) return attached_to;
  }
  const int descriptor = SetUp(flags, attached_to, &params);
  if (descriptor >= 0) close(descriptor);
  if (attached_to >= 0) close(attached_to);
  return descriptor < 0 ? descriptor : 0;
}

Napi::Value Outcome(Napi::Env env, int result) {
  return result >= 0 ? env.Null() : Napi::Value(Napi::String::New(env, ErrorName(-result)));
}

int TryAffinity(io_uring* ring) {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return -errno;
  return io_uring_register_iowq_aff(ring, sizeof cpus, &cpus);
}

int TryProvidedBuffers(io_uring* ring) {
  int result = 0;
  io_uring_buf_reg registration = {};
  constexpr uint32_t kBuffers = 8;
  void* memory = nullptr;
  if (posix_memalign(&memory, 4096, 4096) != 0) return -ENOMEM;
  registration.ring_addr = reinterpret_cast<uintptr_t>(memory);
  registration.ring_entries = kBuffers;
  result = io_uring_register_buf_ring(ring, &registration, 0);
  if (result == 0) io_uring_unregister_buf_ring(ring, 0);
  free(memory);
  return result;
}

void TryRegistrations(Napi::Env env, Napi::Object results, io_uring* ring) {
  const auto note = [&](const char* name, int result) { results.Set(name, Outcome(env, result)); };
  note("sparse files", io_uring_register_files_sparse(ring, kEntries));
  note("sparse buffers", io_uring_register_buffers_sparse(ring, kEntries));
  note("provided-buffer ring", TryProvidedBuffers(ring));
  note("worker affinity", TryAffinity(ring));
  // Zeros change nothing: they ask how many there may be.
  unsigned workers[2] = {0, 0};
  note("worker limits", io_uring_register_iowq_max_workers(ring, workers));
  note("ring descriptor", io_uring_register_ring_fd(ring));
}

void NameOperations(Napi::Env env, Napi::Object results, io_uring* ring) {
  io_uring_probe* probe = io_uring_get_probe_ring(ring);
  for (const Named& operation : kOperations) {
    const bool has = probe != nullptr && io_uring_opcode_supported(probe, static_cast<int>(operation.value)) != 0;
    results.Set(operation.name, Napi::Boolean::New(env, has));
  }
  if (probe != nullptr) io_uring_free_probe(probe);
}

Napi::Value ProbeKernel(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
#ifdef IO_URING_VERSION_MAJOR
  const std::string version = std::to_string(IO_URING_VERSION_MAJOR) + "." + std::to_string(IO_URING_VERSION_MINOR);
#else
  const std::string version = "before 2.4";
#endif
  result.Set("liburing", Napi::String::New(env, version));
  result.Set("refusal", env.Null());
  Napi::Object set_ups = Napi::Object::New(env);
  Napi::Object features = Napi::Object::New(env);
  Napi::Object operations = Napi::Object::New(env);
  Napi::Object registrations = Napi::Object::New(env);
  result.Set("setUps", set_ups);
  result.Set("features", features);
  result.Set("operations", operations);
  result.Set("registrations", registrations);

  io_uring ring;
  io_uring_params params;
  memset(&params, 0, sizeof params);
  if (const int error = io_uring_queue_init_params(kEntries, &ring, &params)) {
    result.Set("refusal", Napi::String::New(env, SetUpFailure(-error).message));
    return result;
  }
  for (const Named& feature : kFeatures) {
    features.Set(feature.name, Napi::Boolean::New(env, (params.features & feature.value) != 0));
  }
  NameOperations(env, operations, &ring);
  TryRegistrations(env, registrations, &ring);
  io_uring_queue_exit(&ring);
  for (const Named& set_up : kSetUps) set_ups.Set(set_up.name, Outcome(env, TrySetUp(set_up.value)));
  return result;
}

}  // namespace

void DefineKernelFeatures(Napi::Env env, Napi::Object exports) {
  exports.Set("probeKernel", Napi::Function::New<ProbeKernel>(env, "probeKernel"));
}

}  // namespace quadring
