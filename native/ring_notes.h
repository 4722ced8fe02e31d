// What a ring keeps in the user data of an entry beside the caller's 32 bits, for its completion.
//
//     63         62 … 32    31 … 0
//     ┌──────────┬──────────┬───────────────────┐
//     │ internal │ note     │ caller's user data│
//     └──────────┴──────────┴───────────────────┘
//
//     note: nothing; 1 + the offset of the buffer that the completion is to name; a timeout's; an open's that gives a
//     descriptor; or the slot of a file that is opened in it, or closed. Internal: the ring's own operations.
#ifndef QUADRING_RING_NOTES_H
#define QUADRING_RING_NOTES_H

#include <cstdint>

#include "fixed_files.h"
#include "provided_buffers.h"
#include "record.h"

namespace quadring {

constexpr int kNoteShift = 32;
constexpr uint64_t kInternal = uint64_t{1} << 63;
constexpr uint32_t kNoteNothing = 0;
constexpr uint32_t kNoteTimeout = kSelectEndMax;
constexpr uint32_t kNoteOpen = kNoteTimeout - 1;
/** The slot 0; the slot i is i above it. */
constexpr uint32_t kNoteSlots = kNoteOpen - FixedFiles::kSlotsMax;
/** Notes above it name no buffer. */
constexpr uint32_t kNoteBufferEnd = kNoteSlots;
static_assert(kNoteTimeout < (kInternal >> kNoteShift), "a note leaves the highest bit alone");
static_assert(1 + (kSelectEndMax - ProvidedBuffers::kBytesUnit) < kNoteBufferEnd, "no buffer's offset looks like another note");

constexpr uint64_t kWakeUpUserData = kInternal | 1;
constexpr uint64_t kCancelUserData = kInternal | 2;

}  // namespace quadring

#endif
