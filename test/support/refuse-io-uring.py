#!/usr/bin/env python3
"""Runs a command in an environment that is hostile to io_uring, as containers and small machines are.

    refuse-io-uring.py [--errno NUMBER] [--enter | --register OPCODE | --memlock KIB | --io-priority] command argument...

By default a seccomp filter makes io_uring_setup fail with EPERM (or with --errno), for the command and all that it
starts. With --enter it is io_uring_enter instead, so that a ring can be made and not be used. With --register it is
that one operation of io_uring_register that fails (with EINVAL unless --errno is given), which is how older kernels
look. With --memlock nothing is filtered: the command may lock that much memory and has no CAP_IPC_LOCK. With
--io-priority it is ioprio_set that fails, and io_uring works. Needs no privileges; x86_64 and aarch64.
"""
import argparse
import ctypes
import errno
import os
import platform
import resource
import struct
import sys

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
PR_CAPBSET_DROP, CAP_IPC_LOCK = 24, 14
PR_SET_NO_NEW_PRIVS = 38
SYS_IO_URING_SETUP, SYS_IO_URING_ENTER, SYS_IO_URING_REGISTER = 425, 426, 427  # the same numbers on both machines
SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]. Both machines are little-endian.
NUMBER, ARCH, SECOND_ARGUMENT = 0, 4, 24
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000

libc = ctypes.CDLL(None, use_errno=True)


def prctl(option, *arguments):
    padded = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded) != 0:
        number = ctypes.get_errno()
        sys.exit(f"prctl({option}): {os.strerror(number)}")


def program(call, register_opcode, failure):
    """Instructions as (code, skip if true, skip if false, operand); skips count from the next one."""
    arch = AUDIT_ARCH.get(platform.machine())
    if arch is None:
        sys.exit(f"no seccomp filter for {platform.machine()}")
    head = [(LOAD_WORD, 0, 0, ARCH), (JUMP_EQUAL, 1, 0, arch), (RETURN, 0, 0, ALLOW), (LOAD_WORD, 0, 0, NUMBER)]
    if register_opcode is None:
        match = [(JUMP_EQUAL, 0, 1, call)]
    else:
        match = [
            (JUMP_EQUAL, 0, 3, call),
            (LOAD_WORD, 0, 0, SECOND_ARGUMENT),
            (JUMP_EQUAL, 0, 1, register_opcode),
        ]
    return head + match + [(RETURN, 0, 0, FAIL | failure), (RETURN, 0, 0, ALLOW)]


def install(instructions):
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(instructions), ctypes.addressof(buffer))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(header))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--errno", type=int, dest="failure")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--enter", action="store_true")
    kind.add_argument("--register", type=int, metavar="OPCODE")
    kind.add_argument("--memlock", type=int, metavar="KIB")
    kind.add_argument("--io-priority", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("a command is needed")

    if options.memlock is not None:
        if os.geteuid() == 0:
            prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK)  # takes effect with exec
        limit = options.memlock * 1024
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
    else:
        call, failure = SYS_IO_URING_SETUP, errno.EPERM
        if options.enter:
            call = SYS_IO_URING_ENTER
        if options.io_priority:
            call = SYS_IOPRIO_SET.get(platform.machine())
        if options.register is not None:
            call, failure = SYS_IO_URING_REGISTER, errno.EINVAL
        install(program(call, options.register, failure if options.failure is None else options.failure))
    os.execvp(options.command[0], options.command)


main()
