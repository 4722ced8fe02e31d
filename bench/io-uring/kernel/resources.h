// What arms hold while they are set up: files, memory, threads, and what is registered with a ring.
#ifndef QUADRING_BENCH_RESOURCES_H
#define QUADRING_BENCH_RESOURCES_H

#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "ring.h"
#include "timing.h"

namespace bench {

constexpr uint32_t kKibibyte = 1024;
constexpr uint32_t kMebibyte = 1024 * kKibibyte;
constexpr uint32_t kPageBytes = 4 * kKibibyte;
constexpr uint32_t kBlockBytes = 16 * kKibibyte;

/** Numbers that are the same every time. */
class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed == 0 ? 1 : seed) {}

  uint64_t Below(uint64_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % limit;
  }

 private:
  uint64_t state_;
};

/** An open file. */
class File {
 public:
  File(const std::string& path, int flags);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

enum class Pages {
  /** Of 4 KiB, and never made huge. */
  kSmall,
  /** MADV_HUGEPAGE. */
  kTransparent,
  /** MAP_HUGETLB. */
  kReserved,
};

/** Memory that begins at a border of 2 MiB, all of it touched. Throws a Refusal unless its pages are as wanted. */
class Memory {
 public:
  explicit Memory(size_t bytes, Pages pages = Pages::kSmall);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  uint8_t* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  uint64_t HugeBytes() const;

  size_t bytes_;
  size_t mapped_bytes_;
  void* mapped_ = nullptr;
  uint8_t* data_ = nullptr;
};

/** A thread that does nothing: where there are two, the kernel counts references to descriptors that it looks up. */
class IdleThread {
 public:
  IdleThread();
  ~IdleThread();

 private:
  std::promise<void> end_;
  std::thread thread_;
};

/** Where so many threads wait for each other. */
class Barrier {
 public:
  explicit Barrier(uint32_t threads) { pthread_barrier_init(&barrier_, nullptr, threads); }
  ~Barrier() { pthread_barrier_destroy(&barrier_); }
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  void Wait() { pthread_barrier_wait(&barrier_); }

 private:
  pthread_barrier_t barrier_;
};

/** What a thread does when all are set up; it adds how long each operation took. */
using Work = std::function<void(std::vector<int64_t>* latencies)>;

/**
 * So many threads, which set up first, with `set_up`, and are then measured together. What `set_up` returns dies in its
 * thread, where nothing is measured any more.
 */
Result InThreads(uint32_t threads, const std::function<Work(uint32_t thread)>& set_up);

/** A table of so many empty places, and what comes into one of them; a descriptor of -1 empties it. */
void RegisterSparseFiles(Ring* ring, uint32_t places);
void UpdateFile(Ring* ring, uint32_t place, int descriptor);

/** The same of buffers; null empties a place. With a tag (0: none) a completion says when the kernel let go of it. */
void RegisterSparseBuffers(Ring* ring, uint32_t places);
void UpdateBuffer(Ring* ring, uint32_t place, uint8_t* memory, size_t bytes, uint64_t tag = 0);

}  // namespace bench

#endif
