#include "reads.h"

#include "refusal.h"

namespace bench {
namespace {

/** Prime: coprime to any number of places that is not a multiple of it. */
constexpr uint64_t kStride = 7919;
constexpr uint32_t kSeed = 2463534242U;

class Places {
 public:
  explicit Places(const ReadPlan& plan) : plan_(plan), random_(kSeed), count_(plan.file_bytes / plan.bytes) {
    if (count_ == 0) throw Broken{"the file is too short to be read at random"};
  }

  void Fill(io_uring_sqe* entry, uint32_t lane) {
    const uint64_t offset = NextPlace() * plan_.bytes;
    uint8_t* const memory = plan_.memory->data();
    if (plan_.slice_bytes > 0) {
      const uint64_t at = random_.Below(plan_.memory->bytes() / plan_.bytes) * plan_.bytes;
      const int slice = static_cast<int>(at / plan_.slice_bytes);
      io_uring_prep_read_fixed(entry, plan_.file, memory + at, plan_.bytes, offset, slice);
    } else {
      io_uring_prep_read(entry, plan_.file, memory + uint64_t{lane} * plan_.bytes, plan_.bytes, offset);
    }
    entry->flags = plan_.entry_flags;
    entry->ioprio = plan_.priority;
    entry->user_data = lane;
  }

 private:
  uint64_t NextPlace() { return plan_.reads_each_once ? next_++ * kStride % count_ : random_.Below(count_); }

  const ReadPlan& plan_;
  Random random_;
  const uint64_t count_;
  uint64_t next_ = 0;
};

}  // namespace

uint64_t ReadAtRandom(Ring* ring, const ReadPlan& plan, uint64_t count, std::vector<int64_t>* latencies,
                      const std::function<bool()>& stopped) {
  Places places(plan);
  std::vector<int64_t> submitted_at(plan.depth);
  std::vector<uint32_t> free_lanes;
  for (uint32_t lane = 0; lane < plan.depth; lane++) free_lanes.push_back(lane);
  uint64_t submitted = 0;
  uint64_t completed = 0;
  while (completed < count) {
    if (stopped && stopped()) count = submitted;
    const int64_t now = NowNanoseconds();
    while (submitted < count && !free_lanes.empty()) {
      const uint32_t lane = free_lanes.back();
      free_lanes.pop_back();
      places.Fill(ring->Next(), lane);
      submitted_at[lane] = now;
      submitted++;
    }
    if (completed == submitted) break;
    ring->Enter(1);
    const int64_t after = NowNanoseconds();
    for (; ring->Ready() > 0; ring->Taken()) {
      const io_uring_cqe& completion = ring->Front();
      CheckCompletion(completion, plan.bytes, "a read");
      const auto lane = static_cast<uint32_t>(completion.user_data);
      latencies->push_back(after - submitted_at[lane]);
      free_lanes.push_back(lane);
      completed++;
    }
  }
  return completed;
}

Result MeasuredReads(Ring* ring, const ReadPlan& plan, uint64_t count) {
  const uint64_t enters_before = ring->enters();
  Stopwatch stopwatch(count);
  ReadAtRandom(ring, plan, count, stopwatch.latencies());
  Result result = stopwatch.Finish(count);
  result.counted["enters/op"] = static_cast<double>(ring->enters() - enters_before) / static_cast<double>(count);
  return result;
}

}  // namespace bench
