// See huge_pages.h. What came of it is asked of /proc/self/pagemap (PAGEMAP_SCAN, Linux 6.7), which looks at the page tables of
// the memory alone; older kernels are asked for /proc/self/smaps, where they look at the whole process: milliseconds.
#include "huge_pages.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "javascript.h"

namespace quadring {
namespace {

struct Span {
  uintptr_t start;
  uintptr_t end;
  bool empty() const { return end <= start; }
};

/** The whole pages of it. */
Span PagesOf(const uint8_t* bytes, size_t length) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(bytes);
  return {(address + page - 1) & ~(page - 1), (address + length) & ~(page - 1)};
}

// linux/fs.h of 6.7, which this compiles without.
struct ScanRegion {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};
struct ScanArgument {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t regions;
  uint64_t region_count;
  uint64_t pages_max;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArgument);
constexpr uint64_t kPageIsZero = 1 << 5;
constexpr uint64_t kPageIsHuge = 1 << 6;
constexpr int64_t kUnknown = -1;

int64_t ScanPagemap(Span span) {
  const int descriptor = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return kUnknown;
  ScanRegion regions[64];
  ScanArgument argument = {};
  argument.size = sizeof argument;
  argument.regions = reinterpret_cast<uintptr_t>(regions);
  argument.region_count = sizeof regions / sizeof *regions;
  // Not what was only read so far: there the kernel lends its one huge page of zeros. (The first kernels that can be asked
  // do not mark that page, and count it.)
  argument.category_mask = kPageIsHuge | kPageIsZero;
  argument.category_inverted = kPageIsZero;
  argument.return_mask = kPageIsHuge;
  int64_t total = 0;
  // Each call gets on by a page at least; it stops where the regions are full.
  for (uint64_t start = span.start; start < span.end && total != kUnknown; start = argument.walk_end) {
    argument.start = start;
    argument.end = span.end;
    argument.walk_end = start;
    const int count = ioctl(descriptor, kPagemapScan, &argument);
    if (count < 0 || argument.walk_end <= start) {
      total = kUnknown;
      break;
    }
    for (int i = 0; i < count; i++) total += static_cast<int64_t>(regions[i].end - regions[i].start);
  }
  close(descriptor);
  return total;
}

int64_t ReadSmaps(Span span) {
  FILE* file = fopen("/proc/self/smaps", "re");
  if (file == nullptr) return kUnknown;
  char line[512];
  int64_t total = 0;
  uint64_t shared = 0;
  while (fgets(line, sizeof line, file) != nullptr) {
    uint64_t start;
    uint64_t end;
    uint64_t kibibytes;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2) {
      const uint64_t from = std::max<uint64_t>(start, span.start);
      const uint64_t to = std::min<uint64_t>(end, span.end);
      shared = to > from ? to - from : 0;
    } else if (shared > 0 && sscanf(line, "AnonHugePages: %" SCNu64, &kibibytes) == 1) {
      // A mapping may be larger than the memory: then it is not known which part of it they are in.
      total += static_cast<int64_t>(std::min(kibibytes << 10, shared));
    }
  }
  fclose(file);
  return total;
}

Napi::Value AdviseHugePages(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint8_t* bytes;
  size_t length;
  if (!GetBytes(env, info[0], "memory", &bytes, &length)) return Napi::Value();
  const Span span = PagesOf(bytes, length);
  if (span.empty()) return Napi::Number::New(env, -EINVAL);
  const int result = madvise(reinterpret_cast<void*>(span.start), span.end - span.start, MADV_HUGEPAGE);
  return Napi::Number::New(env, result == 0 ? 0 : -errno);
}

Napi::Value HugePageBytes(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint8_t* bytes;
  size_t length;
  if (!GetBytes(env, info[0], "memory", &bytes, &length)) return Napi::Value();
  const Span span = PagesOf(bytes, length);
  int64_t total = span.empty() ? 0 : ScanPagemap(span);
  bool thorough = false;
  napi_get_value_bool(env, info[1], &thorough);
  if (total == kUnknown && thorough) total = ReadSmaps(span);
  return Napi::Number::New(env, static_cast<double>(total));
}

}  // namespace

void DefineHugePages(Napi::Env env, Napi::Object exports) {
  exports.Set("adviseHugePages", Napi::Function::New<AdviseHugePages>(env, "adviseHugePages"));
  exports.Set("hugePageBytes", Napi::Function::New<HugePageBytes>(env, "hugePageBytes"));
}

}  // namespace quadring
