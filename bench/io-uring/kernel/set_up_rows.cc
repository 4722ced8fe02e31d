// What a ring is set up with: flags, the size of its completion queue, its registered descriptor.
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
constexpr uint64_t kNops = 100'000;

/** Arm of O_DIRECT reads of 4 KiB. */
Arm ReadArm(const std::string& name, const RingOptions& options, uint32_t depth) {
  return {name, [options, depth](const Workplace& workplace) -> Run {
            struct State {
              Ring ring;
              File file;
              Memory memory;
            };
            const auto state = std::shared_ptr<State>(
                new State{Ring(options), File(workplace.read_file, O_RDONLY | O_DIRECT), Memory(depth * kPageBytes)});
            ReadPlan plan;
            plan.file = state->file.descriptor();
            plan.file_bytes = workplace.read_bytes;
            plan.depth = depth;
            plan.memory = &state->memory;
            return [state, plan](uint64_t count) { return MeasuredReads(&state->ring, plan, count); };
          }};
}

/** Arm of batches of NOPs: submitted and waited for in one call each. A NOP costs what the ring itself does. */
Arm NopArm(const std::string& name, const RingOptions& options, uint32_t batch, bool beside_thread = false) {
  return {name, [options, batch, beside_thread](const Workplace&) -> Run {
            const auto idle = beside_thread ? std::make_shared<IdleThread>() : nullptr;
            const auto ring = std::make_shared<Ring>(options);
            return [idle, ring, batch](uint64_t count) {
              const uint64_t batches = (count + batch - 1) / batch;
              return Timed(batches, batch, [&](uint64_t) {
                for (uint32_t i = 0; i < batch; i++) io_uring_prep_nop(ring->Next());
                ring->Enter(batch);
                ring->TakeAll(batch, "a NOP");
              });
            };
          }};
}

RingOptions WithFlags(uint32_t flags) {
  RingOptions options;
  options.flags = flags;
  return options;
}

void AddTaskWorkRows(Rows* rows) {
  constexpr uint32_t kSingle = IORING_SETUP_SINGLE_ISSUER;
  for (const uint32_t depth : {1U, 32U}) {
    const std::string name = "SINGLE_ISSUER, DEFER_TASKRUN, COOP_TASKRUN: reads of 4 KiB, ";
    rows->push_back({name + std::to_string(depth) + " in flight",
                     kReads,
                     {ReadArm("SINGLE_ISSUER + DEFER_TASKRUN", WithFlags(kSingle | IORING_SETUP_DEFER_TASKRUN), depth),
                      ReadArm("SINGLE_ISSUER", WithFlags(kSingle), depth),
                      ReadArm("COOP_TASKRUN", WithFlags(IORING_SETUP_COOP_TASKRUN), depth),
                      ReadArm("none", WithFlags(0), depth)}});
  }
}

void AddIndexArrayRows(Rows* rows) {
  const RingOptions with = WithFlags(kUsualFlags | IORING_SETUP_NO_SQARRAY);
  const RingOptions without = WithFlags(kUsualFlags);
  for (const uint32_t batch : {1U, 32U}) {
    rows->push_back({"NO_SQARRAY: NOPs, batches of " + std::to_string(batch),
                     kNops * (batch == 1 ? 1 : 4),
                     {NopArm("NO_SQARRAY", with, batch), NopArm("an index array", without, batch)}});
  }
  for (const uint32_t depth : {1U, 32U}) {
    rows->push_back({"NO_SQARRAY: reads of 4 KiB, " + std::to_string(depth) + " in flight",
                     kReads,
                     {ReadArm("NO_SQARRAY", with, depth), ReadArm("an index array", without, depth)}});
  }
}

void AddDescriptorRows(Rows* rows) {
  RingOptions registered;
  registered.registers_descriptor = true;
  for (const bool beside_thread : {false, true}) {
    rows->push_back({std::string("registered ring: NOPs, batches of 1, ") +
                         (beside_thread ? "in a process of two threads" : "in a process of one thread"),
                     kNops,
                     {NopArm("registered", registered, 1, beside_thread),
                      NopArm("a descriptor", RingOptions(), 1, beside_thread)}});
  }
}

/** NOPs of which the fourth is of an operation that there is none of. */
Arm RefusedArm(const std::string& name, uint32_t flags) {
  return {name, [flags](const Workplace&) -> Run {
            const auto ring = std::make_shared<Ring>(WithFlags(flags));
            return [ring](uint64_t count) {
              constexpr uint32_t kBatch = 32;
              constexpr uint32_t kRefused = 3;
              const uint64_t enters_before = ring->enters();
              uint64_t refused = 0;
              Result result = Timed(count, 1, [&](uint64_t) {
                for (uint32_t i = 0; i < kBatch; i++) {
                  io_uring_sqe* const entry = ring->Next();
                  io_uring_prep_nop(entry);
                  if (i == kRefused) entry->opcode = 255;
                }
                ring->EnterAll(kBatch);
                for (uint32_t i = 0; i < kBatch; i++) {
                  if (ring->Ready() == 0) throw Broken{"fewer completions than were waited for"};
                  if (ring->Front().res == -EINVAL) refused++;
                  ring->Taken();
                }
              });
              if (refused != count) throw Broken{"not one of each batch was refused"};
              result.counted["enters/op"] =
                  static_cast<double>(ring->enters() - enters_before) / static_cast<double>(count);
              return result;
            };
          }};
}

/** NOPs of which nothing is reaped before eight times the ring's entries are done. */
Arm LateReaperArm(const std::string& name, uint32_t completions_for_each) {
  return {name, [completions_for_each](const Workplace&) -> Run {
            constexpr uint32_t kEntries = 32;
            RingOptions options;
            options.entries = kEntries;
            options.completion_entries = kEntries * completions_for_each;
            const auto ring = std::make_shared<Ring>(options);
            return [ring](uint64_t count) {
              constexpr uint32_t kBurst = 8 * kEntries;
              const uint64_t bursts = (count + kBurst - 1) / kBurst;
              const uint64_t enters_before = ring->enters();
              uint64_t overflowed = 0;
              Result result = Timed(bursts, kBurst, [&](uint64_t) {
                for (uint32_t submitted = 0; submitted < kBurst; submitted += kEntries) {
                  for (uint32_t i = 0; i < kEntries; i++) io_uring_prep_nop(ring->Next());
                  ring->EnterAll(0);
                }
                if (ring->HasOverflowed()) overflowed += kBurst - ring->Ready();
                ring->TakeAll(kBurst, "a NOP");
              });
              const auto each = [bursts](uint64_t value) {
                return static_cast<double>(value) / static_cast<double>(bursts);
              };
              result.counted["overflowed/burst"] = each(overflowed);
              result.counted["enters/burst"] = each(ring->enters() - enters_before);
              result.counted["lost"] = ring->dropped();
              return result;
            };
          }};
}

}  // namespace

void AddSetUpRows(Rows* rows) {
  AddTaskWorkRows(rows);
  AddIndexArrayRows(rows);
  AddDescriptorRows(rows);
  constexpr uint32_t kOthers = kUsualFlags & ~IORING_SETUP_SUBMIT_ALL;
  rows->push_back({"SUBMIT_ALL: batches of 32 NOPs, the 4th refused",
                   10'000,
                   {RefusedArm("SUBMIT_ALL", kOthers | IORING_SETUP_SUBMIT_ALL), RefusedArm("without", kOthers)}});
  rows->push_back({"CQSIZE: NOPs, bursts of eight times the entries, reaped late",
                   400'000,
                   {LateReaperArm("eight for each entry", 8), LateReaperArm("two, the default", 2)}});
}

}  // namespace bench
