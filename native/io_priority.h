// The idle I/O priority: reads and writes that have it give way to everybody else's, where the disk's scheduler looks at
// priorities. An io_uring is told with each operation; for system calls it is the thread that has one.
//
// The kernel has one rule for both, so whether it grants the priority is found out by giving it to the thread for a
// moment, once. A refusal is not an error: operations then go on without, and the reason is kept for people.
//
// The state is the calling thread's; a ring belongs to one thread, and a thread may have several.
#ifndef QUADRING_IO_PRIORITY_H
#define QUADRING_IO_PRIORITY_H

#include <cstdint>
#include <string>

namespace quadring {

/** IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0); older kernels' headers do not have the names. */
constexpr uint16_t kIdlePriority = 3u << 13;

/** 0, or the errno with which the calling thread is refused the idle priority. */
int IdlePriorityRefusal();

/** The same in words; empty when it is granted. */
std::string IdlePriorityRefusalText();

/** Gives the calling thread the idle priority, or its usual one back; costs a system call only where that is a change. */
void SetIdlePriority(bool idle);

}  // namespace quadring

#endif
