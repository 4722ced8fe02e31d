#!/usr/bin/env python3
"""Stops one thread of a running process, as a debugger does, and lets it go on.

    stop-thread.py PROCESS THREAD

Prints "stopped" when the thread stands still, and lets it go on when its standard input ends (or when it is killed itself:
then the kernel does). A signal could only stop all threads of the process. Needs the right to trace the process.
"""
import ctypes
import os
import sys

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WAIT_ALL = 0x40000000  # __WALL: also for threads

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, thread):
    if libc.ptrace(request, thread, None, None) != 0:
        sys.exit(f"ptrace({request:#x}, {thread}): {os.strerror(ctypes.get_errno())}")


def main():
    process, thread = (int(argument) for argument in sys.argv[1:3])
    if not os.path.exists(f"/proc/{process}/task/{thread}"):
        sys.exit(f"{thread} is no thread of {process}")
    ptrace(PTRACE_SEIZE, thread)
    ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WAIT_ALL)
    print("stopped", flush=True)
    sys.stdin.read()
    ptrace(PTRACE_DETACH, thread)


main()
