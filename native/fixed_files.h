// A ring's table of files, so that the kernel need not look up a descriptor, and count its users, at every operation.
//
// Files are opened straight into it (direct descriptors) and have no descriptor of the process: what an open gives is
// kFirstHandle + the slot. A slot is free again when its file's close has completed, or its open has failed.
//
//     slot    kFree ──Take──► kOpening ──open completed──► kOpen ──StartClosing──► kClosing ──close completed──► kFree
//                                 └──────open failed──────► kFree                      └────close failed──────► kOpen
//
// Only from Linux 6.9 on. Before 6.5 a file that was closed stays open for up to a second longer, which keeps its space,
// and its file system busy; and before 6.9 a truncation is a system call, which needs a descriptor.
#ifndef QUADRING_FIXED_FILES_H
#define QUADRING_FIXED_FILES_H

#include <liburing.h>

#include <cstdint>
#include <string>
#include <vector>

namespace quadring {

class FixedFiles {
 public:
  static constexpr uint32_t kSlotsMax = 2048;
  /** No process has so many descriptors (Linux: 2^20 if nobody has changed it, and less than 2^30 whatever they do). */
  static constexpr int32_t kFirstHandle = 1 << 30;

  /** The kernel's table, or refusal() says why there is none. `truncates`: as RingSetup has it. */
  void Open(io_uring* ring, bool truncates);
  /** Closes all files. REQUIRES: nothing is in flight. */
  void Release(io_uring* ring);

  /** Whether it stands for a slot, of which nothing else is said. */
  static bool IsHandle(int32_t file) { return file >= kFirstHandle; }
  /** Of any number: what the kernel refuses where there is no such slot, or nothing in it. */
  static uint32_t SlotOf(int32_t handle) { return static_cast<uint32_t>(handle) - uint32_t{kFirstHandle}; }
  static int32_t HandleOf(uint32_t slot) { return kFirstHandle + static_cast<int32_t>(slot); }

  /** For a file that is about to be opened; -1: there is no table, or none is free. */
  int Take();
  /** False: no file is open there. */
  bool StartClosing(int32_t handle);
  /** The open or the close that was under way; returns what it gave: a handle, 0, or a negative errno. */
  int32_t Completed(uint32_t slot, int32_t result);

  uint32_t slots() const { return static_cast<uint32_t>(states_.size()); }
  const std::string& refusal() const { return refusal_; }

 private:
  enum State : uint8_t { kFree, kOpening, kOpen, kClosing };

  std::vector<State> states_;
  std::vector<uint32_t> free_;
  std::string refusal_;
};

}  // namespace quadring

#endif
