// Operations that are linked, and completions that nobody asked for.
#include <fcntl.h>

#include <memory>

#include "refusal.h"
#include "resources.h"
#include "ring.h"
#include "rows.h"

namespace bench {
namespace {

constexpr uint32_t kChain = 8;
constexpr uint64_t kNopChains = 50'000;
constexpr uint64_t kWriteChains = 300;

/** Where the next write of `bytes` goes: one behind the other, and round again. */
class Offsets {
 public:
  Offsets(uint64_t file_bytes, uint32_t bytes) : bytes_(bytes), places_(file_bytes / bytes) {
    if (places_ == 0) throw Broken{"the file is too short to be written"};
  }

  uint64_t Next() { return next_++ % places_ * bytes_; }

 private:
  const uint32_t bytes_;
  const uint64_t places_;
  uint64_t next_ = 0;
};

/** A file that has been written before, opened with O_DIRECT, and what is written into it. */
struct Target {
  Target(const Workplace& workplace, uint32_t bytes)
      : file(workplace.write_file, O_RDWR | O_DIRECT),
        memory(uint64_t{kChain} * bytes),
        offsets(workplace.write_bytes, bytes),
        bytes(bytes) {}

  io_uring_sqe* Prepare(uint32_t lane) {
    io_uring_sqe* const entry = ring.Next();
    io_uring_prep_write(entry, file.descriptor(), memory.data() + uint64_t{lane} * bytes, bytes, offsets.Next());
    return entry;
  }

  /** So many writes, none of which may be short. */
  void TakeWrites(uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
      if (ring.TakeOne("a write") < static_cast<int>(bytes)) throw Broken{"a write was short"};
    }
  }

  Ring ring;
  File file;
  Memory memory;
  Offsets offsets;
  const uint32_t bytes;
};

/** Of the entries of a chain, by their place in it. */
uint8_t ChainFlags(uint32_t i, bool skips) {
  if (i + 1 == kChain) return 0;
  return static_cast<uint8_t>(IOSQE_IO_LINK | (skips ? IOSQE_CQE_SKIP_SUCCESS : 0));
}

Arm NopChainArm(const std::string& name, bool skips) {
  return {name, [skips](const Workplace&) -> Run {
            const auto ring = std::make_shared<Ring>();
            return [ring, skips](uint64_t count) {
              const uint32_t expected = skips ? 1 : kChain;
              return Timed(count, 1, [&](uint64_t) {
                for (uint32_t i = 0; i < kChain; i++) {
                  io_uring_sqe* const entry = ring->Next();
                  io_uring_prep_nop(entry);
                  entry->flags = ChainFlags(i, skips);
                }
                ring->Enter(expected);
                ring->TakeAll(expected, "a chain of NOPs");
              });
            };
          }};
}

Arm WriteChainArm(const std::string& name, bool skips) {
  return {name, [skips](const Workplace& workplace) -> Run {
            const auto target = std::make_shared<Target>(workplace, kPageBytes);
            return [target, skips](uint64_t count) {
              const uint32_t expected = skips ? 1 : kChain;
              return Timed(count, 1, [&](uint64_t) {
                for (uint32_t i = 0; i < kChain; i++) target->Prepare(i)->flags = ChainFlags(i, skips);
                target->ring.Enter(expected);
                target->TakeWrites(expected);
              });
            };
          }};
}

/** Writes at once, all waited for, and then a sync: whatever failed is known before anything is durable. */
Arm ParallelArm(const std::string& name, uint32_t bytes, uint32_t sync_flags) {
  return {name, [bytes, sync_flags](const Workplace& workplace) -> Run {
            const auto target = std::make_shared<Target>(workplace, bytes);
            return [target, sync_flags](uint64_t count) {
              return Timed(count, 1, [&](uint64_t) {
                for (uint32_t i = 0; i < kChain; i++) target->Prepare(i);
                target->ring.Enter(kChain);
                target->TakeWrites(kChain);
                io_uring_prep_fsync(target->ring.Next(), target->file.descriptor(), sync_flags);
                target->ring.Enter(1);
                target->ring.TakeAll(1, "an fsync");
              });
            };
          }};
}

Arm DurableChainArm(uint32_t bytes) {
  return {"a chain, the last with RWF_DSYNC", [bytes](const Workplace& workplace) -> Run {
            const auto target = std::make_shared<Target>(workplace, bytes);
            return [target](uint64_t count) {
              return Timed(count, 1, [&](uint64_t) {
                for (uint32_t i = 0; i < kChain; i++) {
                  io_uring_sqe* const entry = target->Prepare(i);
                  entry->flags = ChainFlags(i, false);
                  if (i + 1 == kChain) entry->rw_flags = RWF_DSYNC;
                }
                target->ring.Enter(kChain);
                target->TakeWrites(kChain);
              });
            };
          }};
}

/** `turns` submissions of which each is waited for, with `linked` NOPs in each. */
Arm LinkArm(const std::string& name, uint32_t turns, uint32_t linked) {
  return {name, [turns, linked](const Workplace&) -> Run {
            const auto ring = std::make_shared<Ring>();
            return [ring, turns, linked](uint64_t count) {
              return Timed(count, 1, [&](uint64_t) {
                for (uint32_t turn = 0; turn < turns; turn++) {
                  for (uint32_t i = 0; i < linked; i++) {
                    io_uring_sqe* const entry = ring->Next();
                    io_uring_prep_nop(entry);
                    if (i + 1 < linked) entry->flags = IOSQE_IO_LINK;
                  }
                  ring->Enter(linked);
                  ring->TakeAll(linked, "linked NOPs");
                }
              });
            };
          }};
}

}  // namespace

void AddChainRows(Rows* rows) {
  rows->push_back({"CQE_SKIP_SUCCESS: chains of 8 NOPs",
                   kNopChains,
                   {NopChainArm("each has a completion", false), NopChainArm("only the last has", true)}});
  rows->push_back({"CQE_SKIP_SUCCESS: chains of 8 writes of 4 KiB",
                   kWriteChains,
                   {WriteChainArm("each has a completion", false), WriteChainArm("only the last has", true)}});
  for (const uint32_t bytes : {kPageBytes, 256 * kKibibyte}) {
    const std::string size = std::to_string(bytes / kKibibyte) + " KiB";
    rows->push_back({"RWF_DSYNC: 8 writes of " + size + " that become durable, over written space",
                     kWriteChains,
                     {ParallelArm("all at once, wait, fdatasync", bytes, IORING_FSYNC_DATASYNC),
                      ParallelArm("all at once, wait, fsync", bytes, 0),
                      DurableChainArm(bytes)}});
  }
  rows->push_back({"IO_LINK: 3 NOPs, one after the other",
                   kNopChains,
                   {LinkArm("linked, one submission", 1, 3), LinkArm("three turns", 3, 1)}});
}

}  // namespace bench
