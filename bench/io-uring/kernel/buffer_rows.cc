// Registered buffers: tags, a table that is filled piece by piece, and huge pages.
#include <fcntl.h>
#include <sys/uio.h>

#include <memory>
#include <vector>

#include "reads.h"
#include "refusal.h"
#include "resources.h"
#include "ring.h"
#include "rows.h"

namespace bench {
namespace {

constexpr uint32_t kSlices = 64;
constexpr uint64_t kSliceBytes = kMebibyte;
constexpr uint64_t kUpdates = 500;
constexpr uint64_t kExchanges = 100;
constexpr uint64_t kRegistrations = 40;
constexpr uint64_t kReads = 4000;
/** How long the kernel may hold on to a buffer that is no longer registered: before 6.3 it let go a second later. */
constexpr uint32_t kReleaseMilliseconds = 2000;
/** Completions about tags that are not looked at while anything is measured. */
constexpr uint32_t kTagCompletions = 4096;

void RegisterSlices(Ring* ring, const Memory& memory) {
  std::vector<iovec> slices;
  for (uint64_t at = 0; at < memory.bytes(); at += kSliceBytes) slices.push_back({memory.data() + at, kSliceBytes});
  ring->Register(IORING_REGISTER_BUFFERS, slices.data(), static_cast<uint32_t>(slices.size()),
                 "IORING_REGISTER_BUFFERS");
}

void UnregisterSlices(Ring* ring) {
  ring->Register(IORING_UNREGISTER_BUFFERS, nullptr, 0, "IORING_UNREGISTER_BUFFERS");
}

/** Whether a buffer is tagged. Its completion is looked for, and not waited for, after each turn. */
Arm TagArm(const std::string& name, bool tagged) {
  return {name, [tagged](const Workplace&) -> Run {
            struct State {
              // The ring lets go of the memory first: it dies first.
              Memory memory;
              Ring ring;
            };
            RingOptions options;
            options.completion_entries = kTagCompletions;
            const auto state = std::shared_ptr<State>(new State{Memory(kSliceBytes), Ring(options)});
            RegisterSparseBuffers(&state->ring, kSlices);
            return [state, tagged](uint64_t count) {
              Ring& ring = state->ring;
              uint64_t released = 0;
              const auto take = [&] {
                for (; ring.Ready() > 0; ring.Taken()) released++;
              };
              Result result = Timed(count, 1, [&](uint64_t i) {
                const auto place = static_cast<uint32_t>(i % kSlices);
                UpdateBuffer(&ring, place, state->memory.data(), kSliceBytes, tagged ? i + 1 : 0);
                UpdateBuffer(&ring, place, nullptr, 0);
                take();
              });
              const uint64_t at_once = released;
              while (tagged && released < count) {
                if (!ring.WaitFor(kReleaseMilliseconds)) throw Broken{"a tag's completion did not come"};
                take();
              }
              if (tagged) result.counted["seen at once/op"] = static_cast<double>(at_once) / static_cast<double>(count);
              return result;
            };
          }};
}

/** One of 64 slices is exchanged. */
Arm ExchangeArm(const std::string& name, bool sparse) {
  return {name, [sparse](const Workplace&) -> Run {
            struct State {
              Memory memory;
              Ring ring;
            };
            const auto state = std::shared_ptr<State>(new State{Memory(kSlices * kSliceBytes), Ring()});
            if (sparse) {
              RegisterSparseBuffers(&state->ring, kSlices);
              for (uint32_t place = 0; place < kSlices; place++) {
                UpdateBuffer(&state->ring, place, state->memory.data() + place * kSliceBytes, kSliceBytes);
              }
            } else {
              RegisterSlices(&state->ring, state->memory);
            }
            return [state, sparse](uint64_t count) {
              return Timed(count, 1, [&](uint64_t i) {
                const auto place = static_cast<uint32_t>(i % kSlices);
                if (sparse) {
                  UpdateBuffer(&state->ring, place, state->memory.data() + place * kSliceBytes, kSliceBytes);
                } else {
                  UnregisterSlices(&state->ring);
                  RegisterSlices(&state->ring, state->memory);
                }
              });
            };
          }};
}

Arm PagesReadArm(const std::string& name, Pages pages, uint32_t depth) {
  return {name, [pages, depth](const Workplace& workplace) -> Run {
            struct State {
              Memory memory;
              Ring ring;
              File file;
            };
            const auto state = std::shared_ptr<State>(new State{
                Memory(kSlices * kSliceBytes, pages), Ring(), File(workplace.read_file, O_RDONLY | O_DIRECT)});
            RegisterSlices(&state->ring, state->memory);
            ReadPlan plan;
            plan.file = state->file.descriptor();
            plan.file_bytes = workplace.read_bytes;
            plan.bytes = kBlockBytes;
            plan.depth = depth;
            plan.memory = &state->memory;
            plan.slice_bytes = kSliceBytes;
            return [state, plan](uint64_t count) { return MeasuredReads(&state->ring, plan, count); };
          }};
}

Arm PagesRegistrationArm(const std::string& name, Pages pages) {
  return {name, [pages](const Workplace&) -> Run {
            struct State {
              Memory memory;
              Ring ring;
            };
            const auto state = std::shared_ptr<State>(new State{Memory(kSlices * kSliceBytes, pages), Ring()});
            return [state](uint64_t count) {
              std::vector<int64_t> registering;
              Result result = Timed(count, 1, [&](uint64_t) {
                const int64_t began = NowNanoseconds();
                RegisterSlices(&state->ring, state->memory);
                registering.push_back(NowNanoseconds() - began);
                UnregisterSlices(&state->ring);
              });
              result.counted["registering µs"] = Percentile(registering, 0.5) / 1000;
              return result;
            };
          }};
}

}  // namespace

void AddBufferRows(Rows* rows) {
  rows->push_back({"buffer tags: a slice of 1 MiB registered and cleared",
                   kUpdates,
                   {TagArm("no tag", false), TagArm("a tag", true)}});
  rows->push_back({"sparse buffers: one of 64 slices of 1 MiB exchanged",
                   kExchanges,
                   {ExchangeArm("the one updated", true), ExchangeArm("all unregistered and registered", false)}});
  for (const uint32_t depth : {1U, 16U}) {
    rows->push_back({"huge pages: READ_FIXED of 16 KiB into 64 MiB, " + std::to_string(depth) + " in flight",
                     kReads,
                     {PagesReadArm("pages of 4 KiB", Pages::kSmall, depth),
                      PagesReadArm("MADV_HUGEPAGE", Pages::kTransparent, depth),
                      PagesReadArm("MAP_HUGETLB", Pages::kReserved, depth)}});
  }
  rows->push_back({"huge pages: 64 slices of 1 MiB registered and unregistered",
                   kRegistrations,
                   {PagesRegistrationArm("pages of 4 KiB", Pages::kSmall),
                    PagesRegistrationArm("MADV_HUGEPAGE", Pages::kTransparent),
                    PagesRegistrationArm("MAP_HUGETLB", Pages::kReserved)}});
}

}  // namespace bench
