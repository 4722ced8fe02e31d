// What the kernel does behind the ring: its workers, and the order in which the disk is given its reads.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <thread>

#include "reads.h"
#include "refusal.h"
#include "resources.h"
#include "ring.h"
#include "rows.h"

namespace bench {
namespace {

constexpr uint64_t kColdReads = 2000;
constexpr uint64_t kForegroundReads = 2000;
/** IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0). */
constexpr uint16_t kIdle = 3 << 13;

/** What this process has had read from disks. */
uint64_t DiskReadBytes() {
  std::ifstream file("/proc/self/io");
  uint64_t bytes = 0;
  for (std::string line; std::getline(file, line);) {
    if (sscanf(line.c_str(), "read_bytes: %" SCNu64, &bytes) == 1) return bytes;
  }
  throw Broken{"/proc/self/io does not say what was read"};
}

/**
 * Buffered reads, handed to workers, of what is not in the page cache; 0 leaves the number of workers to the kernel.
 * Each run has a thread of its own: workers belong to the thread that has the ring, and idle ones outlive a limit.
 */
Arm WorkersArm(const std::string& name, uint32_t workers_max) {
  return {name, [workers_max](const Workplace& workplace) -> Run {
            return [workplace, workers_max](uint64_t count) {
              struct State {
                Ring ring;
                File file;
                Memory memory;
              };
              constexpr uint32_t kDepth = 32;
              const uint64_t bytes_before = DiskReadBytes();
              Result result = InThreads(1, [&](uint32_t) -> Work {
                const auto state = std::shared_ptr<State>(
                    new State{Ring(), File(workplace.read_file, O_RDONLY), Memory(kDepth * kBlockBytes)});
                if (workers_max > 0) {
                  uint32_t limits[2] = {workers_max, workers_max};
                  state->ring.Register(IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 2, "IORING_REGISTER_IOWQ_MAX_WORKERS");
                }
                const int descriptor = state->file.descriptor();
                // Nothing is read ahead, of what the next reads want.
                for (const int advice : {POSIX_FADV_DONTNEED, POSIX_FADV_RANDOM}) {
                  const int error_number = posix_fadvise(descriptor, 0, 0, advice);
                  if (error_number != 0) Refuse(error_number, "posix_fadvise");
                }
                ReadPlan plan;
                plan.file = descriptor;
                plan.file_bytes = workplace.read_bytes;
                plan.bytes = kBlockBytes;
                plan.depth = kDepth;
                plan.entry_flags = IOSQE_ASYNC;
                plan.memory = &state->memory;
                plan.reads_each_once = true;
                return [state, plan, count](std::vector<int64_t>* latencies) {
                  latencies->reserve(count);
                  ReadAtRandom(&state->ring, plan, count, latencies);
                };
              });
              result.counted["KiB from disk/op"] =
                  static_cast<double>(DiskReadBytes() - bytes_before) / kKibibyte / static_cast<double>(count);
              return result;
            };
          }};
}

/** `none [mq-deadline] kyber`; empty where the kernel does not say. */
std::string SchedulersOf(const std::string& path) {
  struct stat status;
  CheckedCall(stat(path.c_str(), &status), "stat");
  const std::string device =
      "/sys/dev/block/" + std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  // A partition's queue is that of the whole device, one folder further up.
  for (const char* const queue : {"/queue/scheduler", "/../queue/scheduler"}) {
    std::ifstream file(device + queue);
    std::string line;
    if (std::getline(file, line)) return line;
  }
  return "";
}

std::string SchedulerNote(const std::string& path) {
  const std::string schedulers = SchedulersOf(path);
  const size_t begin = schedulers.find('[');
  const size_t end = schedulers.find(']');
  if (begin == std::string::npos || end == std::string::npos) return "the kernel does not name the disk's scheduler";
  const std::string name = schedulers.substr(begin + 1, end - begin - 1);
  if (name == "none") return "the disk has the scheduler none: by design nothing is ordered by priority";
  return "the disk has the scheduler " + name;
}

/** Reads for as long as it lives, in a thread and a ring of its own. */
class BackgroundReader {
 public:
  BackgroundReader(const Workplace& workplace, uint16_t priority)
      : thread_([this, workplace, priority] {
          try {
            Read(workplace, priority);
          } catch (...) {
            error_ = std::current_exception();
          }
          // Whether or not it reads: nobody waits for it for ever.
          began_.store(true);
        }) {}

  ~BackgroundReader() { Stop(); }

  /** Returns when its first reads are done, so that what is measured has it beside it. */
  void WaitUntilItReads() const {
    while (!began_.load()) std::this_thread::yield();
  }

  /** What it has read until now. Throws what went wrong in its thread. */
  uint64_t Finish() {
    Stop();
    if (error_) std::rethrow_exception(error_);
    return read_bytes_;
  }

 private:
  void Stop() {
    stopped_.store(true);
    if (thread_.joinable()) thread_.join();
  }

  void Read(const Workplace& workplace, uint16_t priority) {
    Ring ring;
    ReadPlan plan;
    plan.depth = 16;
    plan.bytes = 128 * kKibibyte;
    plan.priority = priority;
    const Memory memory(plan.depth * plan.bytes);
    const File file(workplace.read_file, O_RDONLY | O_DIRECT);
    plan.file = file.descriptor();
    plan.file_bytes = workplace.read_bytes;
    plan.memory = &memory;
    std::vector<int64_t> latencies;
    const uint64_t reads = ReadAtRandom(&ring, plan, UINT64_MAX, &latencies, [this, &latencies] {
      if (!latencies.empty()) began_.store(true);
      // They are of no interest, and there is no end to them.
      if (latencies.size() > 1'000'000) latencies.resize(1);
      return stopped_.load();
    });
    read_bytes_ = reads * plan.bytes;
  }

  std::atomic<bool> began_{false};
  std::atomic<bool> stopped_{false};
  std::exception_ptr error_;
  uint64_t read_bytes_ = 0;
  // The last: it uses all of them.
  std::thread thread_;
};

enum class Competitor { kNone, kUsual, kIdle };

/** One read of 4 KiB at a time, of usual priority, beside another ring's reads. */
Arm PriorityArm(const std::string& name, Competitor competitor) {
  return {name, [competitor](const Workplace& workplace) -> Run {
            struct State {
              Ring ring;
              File file;
              Memory memory;
            };
            const auto state = std::shared_ptr<State>(
                new State{Ring(), File(workplace.read_file, O_RDONLY | O_DIRECT), Memory(kPageBytes)});
            ReadPlan plan;
            plan.file = state->file.descriptor();
            plan.file_bytes = workplace.read_bytes;
            plan.memory = &state->memory;
            return [state, plan, workplace, competitor](uint64_t count) {
              std::unique_ptr<BackgroundReader> other;
              if (competitor != Competitor::kNone) {
                other = std::make_unique<BackgroundReader>(workplace, competitor == Competitor::kIdle ? kIdle : 0);
                other->WaitUntilItReads();
              }
              const int64_t began = NowNanoseconds();
              Result result = MeasuredReads(&state->ring, plan, count);
              if (other) {
                const auto bytes = static_cast<double>(other->Finish());
                const double seconds = static_cast<double>(NowNanoseconds() - began) / 1e9;
                result.counted["the other's MiB/s"] = bytes / kMebibyte / seconds;
              }
              result.note = SchedulerNote(workplace.read_file);
              return result;
            };
          }};
}

}  // namespace

void AddDiskRows(Rows* rows) {
  rows->push_back({"IOWQ_MAX_WORKERS: cold reads of 16 KiB through the page cache, IOSQE_ASYNC, 32 in flight",
                   kColdReads,
                   {WorkersArm("as many as the kernel likes", 0), WorkersArm("4", 4), WorkersArm("1", 1)}});
  rows->push_back({"I/O priority: reads of 4 KiB, 1 in flight, beside 16 reads of 128 KiB of another ring",
                   kForegroundReads,
                   {PriorityArm("the others are idle", Competitor::kIdle),
                    PriorityArm("the others are usual", Competitor::kUsual),
                    PriorityArm("there are no others", Competitor::kNone)}});
}

}  // namespace bench
