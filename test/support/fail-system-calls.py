#!/usr/bin/env python3
"""Runs a command whose chosen system calls fail for as long as a file exists.

    fail-system-calls.py --while FILE --calls pwritev2,fsync,fdatasync [--errno NUMBER] command argument...

A seccomp filter has the kernel ask this script about each of the calls (SECCOMP_RET_USER_NOTIF, Linux 5.5): it lets
them go on, or, while FILE is there, has them fail with EIO or --errno without being carried out. What io_uring does makes
no system call, and is not seen. Exits as the command does. Needs no privileges; x86_64 and aarch64.
"""
import argparse
import array
import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import socket
import struct
import sys

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER = 1, 1 << 3
USER_NOTIF_FLAG_CONTINUE = 1
MACHINES = {
    "x86_64": {
        "arch": 0xC000003E,
        "seccomp": 317,
        "calls": {"pwrite64": 18, "pwritev2": 328, "fsync": 74, "fdatasync": 75, "fallocate": 285},
    },
    "aarch64": {
        "arch": 0xC00000B7,
        "seccomp": 277,
        "calls": {"pwrite64": 68, "pwritev2": 287, "fsync": 82, "fdatasync": 83, "fallocate": 47},
    },
}

# struct seccomp_data begins with int nr; u32 arch. Both machines are little-endian.
NUMBER, ARCH = 0, 4
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, ASK = 0x7FFF0000, 0x7FC00000

# struct seccomp_notif: u64 id; u32 pid; u32 flags; struct seccomp_data (64 bytes). The answer: u64 id; s64 val; s32 error; u32 flags.
NOTIFICATION_BYTES = 80
RECEIVE = 0xC0502100  # SECCOMP_IOCTL_NOTIF_RECV
SEND = 0xC0182101  # SECCOMP_IOCTL_NOTIF_SEND

libc = ctypes.CDLL(None, use_errno=True)


def machine():
    found = MACHINES.get(platform.machine())
    if found is None:
        sys.exit(f"no seccomp filter for {platform.machine()}")
    return found


def listen(numbers):
    """Installs the filter in this process; the descriptor that its calls are asked about through."""
    here = machine()
    instructions = [(LOAD_WORD, 0, 0, ARCH), (JUMP_EQUAL, 1, 0, here["arch"]), (RETURN, 0, 0, ALLOW), (LOAD_WORD, 0, 0, NUMBER)]
    for number in numbers:
        instructions += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ASK)]
    instructions.append((RETURN, 0, 0, ALLOW))
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(instructions), ctypes.addressof(buffer))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    listener = libc.syscall(here["seccomp"], SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, header)
    if listener < 0:
        sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
    return listener


def answer(listener, path, failure):
    """One call; False when nobody is left to ask."""
    request = bytearray(NOTIFICATION_BYTES)
    try:
        fcntl.ioctl(listener, RECEIVE, request)
    except OSError as error:
        # The thread that asked has been killed meanwhile, or there is none any more.
        return error.errno in (errno.EINTR, errno.ENOENT)
    identifier = struct.unpack_from("=Q", request)[0]
    fails = os.path.exists(path)
    response = struct.pack("=QqiI", identifier, 0, -failure if fails else 0, 0 if fails else USER_NOTIF_FLAG_CONTINUE)
    try:
        fcntl.ioctl(listener, SEND, response)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--while", dest="path", required=True)
    parser.add_argument("--calls", required=True)
    parser.add_argument("--errno", type=int, default=errno.EIO)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("a command is needed")
    numbers = [machine()["calls"][name] for name in options.calls.split(",")]

    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        # Without this script nobody answers its calls any more.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        listener = listen(numbers)
        theirs.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
        os.close(listener)
        os.execvp(options.command[0], options.command)
    theirs.close()
    _, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_LEN(4))
    if not ancillary:
        os.waitpid(child, 0)
        sys.exit("the filter could not be installed")
    listener = array.array("i", ancillary[0][2])[0]
    # Whoever ends this script means the command.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        events = poll.poll()
        if events and events[0][1] & select.POLLHUP:
            break
        if not answer(listener, options.path, options.errno):
            break
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


main()
