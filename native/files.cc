#include "files.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

#include "javascript.h"

namespace quadring {
namespace {

// ---- eventfds and descriptors

/**
 * Descriptors that an environment was given and has not closed. A worker that is terminated closes nothing itself: its
 * locks would be held, and its eventfds lost, until the process ends. The environment's own workers, which use them,
 * are stopped before its cleanup hooks run.
 */
class Descriptors {
 public:
  explicit Descriptors(Napi::Env env) {
    env.AddCleanupHook([](Descriptors* descriptors) { delete descriptors; }, this);
  }
  ~Descriptors() {
    for (const int descriptor : open_) close(descriptor);
  }
  void Add(int descriptor) { open_.insert(descriptor); }
  void Remove(int descriptor) { open_.erase(descriptor); }

 private:
  std::set<int> open_;
};

Descriptors* DescriptorsOf(const Napi::CallbackInfo& info) { return static_cast<Descriptors*>(info.Data()); }

Napi::Value CreateEventfd(const Napi::CallbackInfo& info) {
  const int descriptor = eventfd(0, EFD_CLOEXEC);
  if (descriptor < 0) {
    ThrowFailure(info.Env(), SystemFailure(errno, "eventfd"));
    return Napi::Value();
  }
  DescriptorsOf(info)->Add(descriptor);
  return Napi::Number::New(info.Env(), descriptor);
}

// Called for every wake-up, hence without wrappers.
napi_value WakeEventfd(napi_env env, napi_callback_info info) {
  size_t argument_count = 1;
  napi_value argument;
  int64_t descriptor;
  napi_get_cb_info(env, info, &argument_count, &argument, nullptr, nullptr);
  // Not napi_get_value_int32, which makes the descriptor 0 of NaN.
  if (!GetInteger(env, argument, "descriptor", 0, INT32_MAX, &descriptor)) return nullptr;
  const uint64_t one = 1;
  // EAGAIN: the counter is full, and whoever waits has been woken long ago.
  if (write(static_cast<int>(descriptor), &one, sizeof one) < 0 && errno != EAGAIN) ThrowFailure(env, SystemFailure(errno, "write"));
  return nullptr;
}

void CloseDescriptor(const Napi::CallbackInfo& info) {
  int64_t descriptor;
  if (!GetInteger(info.Env(), info[0], "descriptor", 0, INT32_MAX, &descriptor)) return;
  DescriptorsOf(info)->Remove(static_cast<int>(descriptor));
  // Linux has closed it even when it says EINTR.
  if (close(static_cast<int>(descriptor)) != 0 && errno != EINTR) {
    ThrowFailure(info.Env(), SystemFailure(errno, "close"));
  }
}

// ---- paths

/** A path without NUL inside, or false with an exception pending. */
bool GetPath(const Napi::CallbackInfo& info, std::string* path) {
  if (!info[0].IsString()) {
    ThrowType(info.Env(), "path must be a string");
    return false;
  }
  *path = info[0].As<Napi::String>().Utf8Value();
  if (path->find('\0') != std::string::npos) {
    ThrowFailure(info.Env(), SystemFailure(EINVAL, "open", "the path contains a NUL"));
    return false;
  }
  return true;
}

// ---- the lock

Napi::Value LockResult(Napi::Env env, int descriptor, int holder) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("descriptor", Napi::Number::New(env, descriptor));
  result.Set("holder", Napi::Number::New(env, holder));
  return result;
}

int ReadHolder(int descriptor) {
  char text[32];
  const ssize_t length = pread(descriptor, text, sizeof text - 1, 0);
  if (length <= 0) return 0;
  text[length] = '\0';
  const long pid = strtol(text, nullptr, 10);
  return pid > 0 && pid <= INT32_MAX ? static_cast<int>(pid) : 0;
}

// flock and not fcntl: two opens within one process exclude each other too, and closing some other descriptor of the
// same file does not let go of it.
Napi::Value LockFile(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path;
  if (!GetPath(info, &path)) return Napi::Value();
  const int descriptor = open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) {
    const int error_number = errno;
    ThrowFailure(env, SystemFailure(error_number, "open",
                                    path + (error_number == ELOOP ? " (a lock file may not be a symbolic link)" : "")));
    return Napi::Value();
  }
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const int error_number = errno;
    const int holder = error_number == EWOULDBLOCK ? ReadHolder(descriptor) : 0;
    close(descriptor);
    if (error_number == EWOULDBLOCK) return LockResult(env, -1, holder);
    ThrowFailure(env, SystemFailure(error_number, "flock", path));
    return Napi::Value();
  }
  // The pid is for people. The lock holds without it, so a full disk is no reason to refuse; but an older pid must go.
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(descriptor, 0) == 0 && pwrite(descriptor, pid.data(), pid.size(), 0) < 0) errno = 0;
  DescriptorsOf(info)->Add(descriptor);
  return LockResult(env, descriptor, 0);
}

// LOCK can be removed and made again, and then be somebody else's; the directory cannot.
Napi::Value LockDirectory(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path;
  if (!GetPath(info, &path)) return Napi::Value();
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    ThrowFailure(env, SystemFailure(errno, "open", path));
    return Napi::Value();
  }
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const int error_number = errno;
    close(descriptor);
    // Of a network's file systems some know no such locks, or none of directories.
    return error_number == EWOULDBLOCK ? LockResult(env, -1, 0) : env.Null();
  }
  DescriptorsOf(info)->Add(descriptor);
  return LockResult(env, descriptor, 0);
}

// ---- alignment

// The kernel's struct statx; the C library's own may be too old to have the last two fields.
struct Statx {
  uint32_t mask;
  uint8_t before_direct_alignment[148];
  uint32_t direct_memory_alignment;
  uint32_t direct_offset_alignment;
  uint8_t rest[96];
};
static_assert(sizeof(Statx) == 256 && offsetof(Statx, direct_memory_alignment) == 0x98, "as in linux/stat.h");
constexpr unsigned kStatxDirectAlignment = 0x2000;  // STATX_DIOALIGN, Linux 6.1

Napi::Value DirectAlignment(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string path;
  if (!GetPath(info, &path)) return Napi::Value();
  Statx status;
  memset(&status, 0, sizeof status);
  // A kernel or sandbox without statx does not know the alignment; a file that is not there is an error.
  if (syscall(SYS_statx, AT_FDCWD, path.c_str(), 0, kStatxDirectAlignment, &status) != 0 && errno != ENOSYS &&
      errno != EINVAL && errno != EPERM) {
    ThrowFailure(env, SystemFailure(errno, "statx", path));
    return Napi::Value();
  }
  const bool known = (status.mask & kStatxDirectAlignment) != 0;
  Napi::Object result = Napi::Object::New(env);
  result.Set("memory", Napi::Number::New(env, known ? status.direct_memory_alignment : 0));
  result.Set("offset", Napi::Number::New(env, known ? status.direct_offset_alignment : 0));
  return result;
}

}  // namespace

void DefineFiles(Napi::Env env, Napi::Object exports) {
  auto* descriptors = new Descriptors(env);
  napi_value wake;
  napi_create_function(env, "wakeEventfd", NAPI_AUTO_LENGTH, WakeEventfd, nullptr, &wake);
  exports.Set("wakeEventfd", wake);
  exports.Set("createEventfd", Napi::Function::New<CreateEventfd>(env, "createEventfd", descriptors));
  exports.Set("closeDescriptor", Napi::Function::New<CloseDescriptor>(env, "closeDescriptor", descriptors));
  exports.Set("lockFile", Napi::Function::New<LockFile>(env, "lockFile", descriptors));
  exports.Set("lockDirectory", Napi::Function::New<LockDirectory>(env, "lockDirectory", descriptors));
  exports.Set("directAlignment", Napi::Function::New<DirectAlignment>(env, "directAlignment"));
}

}  // namespace quadring
