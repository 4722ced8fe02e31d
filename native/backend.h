// What class Ring and class SystemCalls have in common: how they are made, and how they describe themselves. Neither
// knows JavaScript; ring_object.h puts it around them.
#ifndef QUADRING_BACKEND_H
#define QUADRING_BACKEND_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ring_request.h"

namespace quadring {

/** The arrays are the caller's and outlive the backend. */
struct BackendOptions {
  uint32_t entries = 0;
  int32_t* records = nullptr;
  uint8_t* names = nullptr;
  int32_t* completions = nullptr;
  uint32_t completion_capacity = 0;
  int eventfd = -1;
  bool single_issuer = true;
  SubmissionPolling polling;
  WorkerRequest workers;
  /** Reads and writes with kFlagPolled are polled for, where the kernel has it. */
  bool polls_completions = false;
  /** Is written to when there are completions, or -1. */
  int notified_eventfd = -1;
  /** kCounters of them. */
  double* counters = nullptr;
};

struct BackendDescription {
  std::vector<const char*> flags;
  /** Of the ring, or −1. */
  int descriptor = -1;
  /** Empty where a thread of the kernel polls for submissions, or none was wanted. */
  std::string polling_refusal;
  /** Of the ring whose completions are polled for; empty where there is none. */
  std::vector<const char*> poller_flags;
  /** Why there is none although it was wanted; otherwise empty. */
  std::string poller_refusal;
  /** Of the kernel's that read and write files; 0 where it does not say. */
  uint32_t workers_max = 0;
  /** Empty where the workers are as they were wanted. */
  std::string workers_refusal;
  uint32_t entries = 0;
  uint32_t completion_entries = 0;
  uint64_t registered_bytes = 0;
  /** Empty when everything asked for was registered. */
  std::string registration_refusal;
  /** Files that the ring's table has room for; 0: files are descriptors. */
  uint32_t fixed_files = 0;
  /** Why there is no table; otherwise empty. */
  std::string fixed_files_refusal;
  /** How many buffers can be lent at once; 0 where reads that select go into their own. */
  uint32_t provided_buffers = 0;
  /** Empty when there are as many as asked for, or none were asked for. */
  std::string provided_buffers_refusal;
  /** Empty when reads and writes with kFlagIdle get the idle priority. */
  std::string idle_priority_refusal;
};

/** A part of a region that is to be registered: `length` bytes from `offset`, multiples of the slice size. */
struct FixedRange {
  size_t offset = 0;
  size_t length = 0;
};

}  // namespace quadring

#endif
