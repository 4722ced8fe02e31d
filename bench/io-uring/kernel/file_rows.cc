// Fixed files against descriptors: what a read saves, and what putting a file into the table costs.
#include <fcntl.h>

#include <memory>

#include "reads.h"
#include "refusal.h"
#include "resources.h"
#include "ring.h"
#include "rows.h"

namespace bench {
namespace {

constexpr uint64_t kReads = 4000;
constexpr uint64_t kCachedReads = 100'000;
constexpr uint64_t kOpens = 10'000;
constexpr uint32_t kPlaces = 64;
constexpr uint32_t kThreads = 4;
/** Not the first: a look-up is one of a table. */
constexpr uint32_t kPlace = 3;

/** A ring that reads one file, by its place in the table or by its descriptor. */
class Reader {
 public:
  Reader(const Workplace& workplace, bool fixed, uint32_t depth, int flags)
      : file_(workplace.read_file, O_RDONLY | flags), memory_(depth * kPageBytes) {
    // Both have the table.
    RegisterSparseFiles(&ring_, kPlaces);
    UpdateFile(&ring_, kPlace, file_.descriptor());
    plan_.file = fixed ? static_cast<int>(kPlace) : file_.descriptor();
    plan_.entry_flags = fixed ? IOSQE_FIXED_FILE : 0;
    plan_.file_bytes = workplace.read_bytes;
    plan_.depth = depth;
    plan_.memory = &memory_;
  }

  Result Measure(uint64_t count) { return MeasuredReads(&ring_, plan_, count); }
  void Read(uint64_t count, std::vector<int64_t>* latencies) { ReadAtRandom(&ring_, plan_, count, latencies); }

 private:
  Ring ring_;
  File file_;
  Memory memory_;
  ReadPlan plan_;
};

Arm OneThreadArm(const std::string& name, bool fixed, uint32_t depth) {
  return {name, [fixed, depth](const Workplace& workplace) -> Run {
            const auto reader = std::make_shared<Reader>(workplace, fixed, depth, O_DIRECT);
            return [reader](uint64_t count) { return reader->Measure(count); };
          }};
}

/** `flags`: O_DIRECT, or 0 for reads of what is in the page cache. */
Arm ThreadsArm(const std::string& name, bool fixed, uint32_t depth, int flags) {
  return {name, [fixed, depth, flags](const Workplace& workplace) -> Run {
            return [workplace, fixed, depth, flags](uint64_t count) {
              const uint64_t count_each = (count + kThreads - 1) / kThreads;
              return InThreads(kThreads, [&](uint32_t) -> Work {
                const auto reader = std::make_shared<Reader>(workplace, fixed, depth, flags);
                return [reader, count_each](std::vector<int64_t>* latencies) {
                  latencies->reserve(count_each);
                  reader->Read(count_each, latencies);
                };
              });
            };
          }};
}

void AddReadRows(Rows* rows) {
  const std::string begin = "fixed files: reads of 4 KiB, ";
  for (const uint32_t depth : {1U, 32U}) {
    rows->push_back({begin + std::to_string(depth) + " in flight",
                     kReads,
                     {OneThreadArm("a descriptor", false, depth), OneThreadArm("IOSQE_FIXED_FILE", true, depth)}});
  }
  rows->push_back({begin + "4 threads with 8 in flight each",
                   2 * kReads,
                   {ThreadsArm("a descriptor", false, 8, O_DIRECT),
                    ThreadsArm("IOSQE_FIXED_FILE", true, 8, O_DIRECT)}});
  rows->push_back({begin + "4 threads with 8 in flight each, from the page cache",
                   kCachedReads,
                   {ThreadsArm("a descriptor", false, 8, 0), ThreadsArm("IOSQE_FIXED_FILE", true, 8, 0)}});
}

/** Carries out one operation. Its result. */
template <typename Prepare>
int Once(Ring* ring, const char* what, Prepare prepare) {
  prepare(ring->Next());
  ring->Enter(1);
  return ring->TakeOne(what);
}

constexpr int kOpenFlags = O_RDONLY | O_DIRECT;

void OpenAndClose(Ring* ring, const char* path) {
  const int descriptor =
      Once(ring, "OPENAT", [&](io_uring_sqe* entry) { io_uring_prep_openat(entry, AT_FDCWD, path, kOpenFlags, 0); });
  Once(ring, "CLOSE", [&](io_uring_sqe* entry) { io_uring_prep_close(entry, descriptor); });
}

void OpenAndCloseDirect(Ring* ring, const char* path) {
  Once(ring, "OPENAT into the table", [&](io_uring_sqe* entry) {
    io_uring_prep_openat_direct(entry, AT_FDCWD, path, kOpenFlags, 0, kPlace);
  });
  Once(ring, "CLOSE of a place in the table",
       [&](io_uring_sqe* entry) { io_uring_prep_close_direct(entry, kPlace); });
}

/** What is open has a descriptor as well, as where the same file is also used without the ring. */
void OpenUpdateAndClose(Ring* ring, const char* path) {
  const int descriptor =
      Once(ring, "OPENAT", [&](io_uring_sqe* entry) { io_uring_prep_openat(entry, AT_FDCWD, path, kOpenFlags, 0); });
  UpdateFile(ring, kPlace, descriptor);
  UpdateFile(ring, kPlace, -1);
  Once(ring, "CLOSE", [&](io_uring_sqe* entry) { io_uring_prep_close(entry, descriptor); });
}

Arm OpenArm(const std::string& name, void (*once)(Ring* ring, const char* path)) {
  return {name, [once](const Workplace& workplace) -> Run {
            const auto ring = std::make_shared<Ring>();
            RegisterSparseFiles(ring.get(), kPlaces);
            const std::string path = workplace.read_file;
            return [ring, path, once](uint64_t count) {
              return Timed(count, 1, [&](uint64_t) { once(ring.get(), path.c_str()); });
            };
          }};
}

}  // namespace

void AddFileRows(Rows* rows) {
  AddReadRows(rows);
  rows->push_back({"fixed files: a file opened and closed through the ring",
                   kOpens,
                   {OpenArm("a descriptor", OpenAndClose), OpenArm("straight into the table", OpenAndCloseDirect),
                    OpenArm("a descriptor, then into the table", OpenUpdateAndClose)}});
}

}  // namespace bench
