#include "resources.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>

#include "refusal.h"

namespace bench {
namespace {

constexpr size_t kHugePageBytes = 2 * kMebibyte;

}  // namespace

File::File(const std::string& path, int flags)
    : descriptor_(CheckedCall(open(path.c_str(), flags | O_CLOEXEC), "open of a file")) {}

File::~File() { close(descriptor_); }

Memory::Memory(size_t bytes, Pages pages) : bytes_(bytes), mapped_bytes_(bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (pages == Pages::kReserved) flags |= MAP_HUGETLB;
  // Reserved ones are aligned as they are, and there may not be one too many.
  else mapped_bytes_ += kHugePageBytes;
  mapped_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapped_ == MAP_FAILED) Refuse(errno, pages == Pages::kReserved ? "mmap with MAP_HUGETLB" : "mmap");
  const auto begin = reinterpret_cast<uintptr_t>(mapped_);
  data_ = reinterpret_cast<uint8_t*>((begin + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes);
  try {
    if (pages == Pages::kTransparent) CheckedCall(madvise(data_, bytes_, MADV_HUGEPAGE), "MADV_HUGEPAGE");
    // EINVAL where the kernel has no transparent ones at all: then these are small as they are.
    if (pages == Pages::kSmall && madvise(data_, bytes_, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) {
      Refuse(errno, "MADV_NOHUGEPAGE");
    }
    for (size_t at = 0; at < bytes_; at += kPageBytes) data_[at] = static_cast<uint8_t>(at / kPageBytes);
    const uint64_t huge = pages == Pages::kReserved ? bytes_ : HugeBytes();
    if (pages == Pages::kTransparent && huge < bytes_) {
      throw Refusal{"ENOMEM from MADV_HUGEPAGE: " + std::to_string(huge / kMebibyte) + " of " +
                    std::to_string(bytes_ / kMebibyte) + " MiB became huge"};
    }
    if (pages == Pages::kSmall && huge > 0) throw Broken{"pages are huge that must not be"};
  } catch (...) {
    munmap(mapped_, mapped_bytes_);
    throw;
  }
}

Memory::~Memory() { munmap(mapped_, mapped_bytes_); }

/** Of this memory, by /proc/self/smaps: the mapping that begins where it does, or around it. */
uint64_t Memory::HugeBytes() const {
  std::ifstream smaps("/proc/self/smaps");
  const auto begin = reinterpret_cast<uint64_t>(data_);
  uint64_t huge = 0;
  bool is_ours = false;
  for (std::string line; std::getline(smaps, line);) {
    uint64_t from = 0;
    uint64_t to = 0;
    uint64_t kibibytes = 0;
    if (sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2) {
      is_ours = from < begin + bytes_ && begin < to;
    } else if (is_ours && sscanf(line.c_str(), "AnonHugePages: %" SCNu64 " kB", &kibibytes) == 1) {
      huge += kibibytes * kKibibyte;
    }
  }
  return huge;
}

IdleThread::IdleThread() : thread_([ended = end_.get_future()] { ended.wait(); }) {}

IdleThread::~IdleThread() {
  end_.set_value();
  thread_.join();
}

Result InThreads(uint32_t threads, const std::function<Work(uint32_t thread)>& set_up) {
  Barrier ready(threads + 1);
  Barrier begin(threads + 1);
  Barrier end(threads + 1);
  std::vector<std::vector<int64_t>> latencies(threads);
  std::vector<std::exception_ptr> errors(threads);
  std::vector<std::thread> running;
  for (uint32_t i = 0; i < threads; i++) {
    running.emplace_back([&, i] {
      Work work;
      const auto attempt = [&](const std::function<void()>& what) {
        try {
          what();
        } catch (...) {
          errors[i] = std::current_exception();
        }
      };
      attempt([&] { work = set_up(i); });
      ready.Wait();
      begin.Wait();
      if (work) attempt([&] { work(&latencies[i]); });
      end.Wait();
    });
  }
  ready.Wait();
  const int64_t cpu_before = ProcessCpuNanoseconds();
  const int64_t began = NowNanoseconds();
  begin.Wait();
  end.Wait();
  const int64_t elapsed = NowNanoseconds() - began;
  const int64_t cpu = ProcessCpuNanoseconds() - cpu_before;
  for (std::thread& thread : running) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
  std::vector<int64_t> all;
  for (const auto& some : latencies) all.insert(all.end(), some.begin(), some.end());
  return ResultOf(all.size(), elapsed, cpu, all);
}

void RegisterSparseFiles(Ring* ring, uint32_t places) {
  io_uring_rsrc_register table = {};
  table.nr = places;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  ring->Register(IORING_REGISTER_FILES2, &table, sizeof table, "IORING_REGISTER_FILES2");
}

void UpdateFile(Ring* ring, uint32_t place, int descriptor) {
  io_uring_rsrc_update update = {};
  update.offset = place;
  update.data = reinterpret_cast<uint64_t>(&descriptor);
  ring->Register(IORING_REGISTER_FILES_UPDATE, &update, 1, "IORING_REGISTER_FILES_UPDATE");
}

void RegisterSparseBuffers(Ring* ring, uint32_t places) {
  io_uring_rsrc_register table = {};
  table.nr = places;
  table.flags = IORING_RSRC_REGISTER_SPARSE;
  ring->Register(IORING_REGISTER_BUFFERS2, &table, sizeof table, "IORING_REGISTER_BUFFERS2");
}

void UpdateBuffer(Ring* ring, uint32_t place, uint8_t* memory, size_t bytes, uint64_t tag) {
  const iovec piece = {memory, memory == nullptr ? 0 : bytes};
  io_uring_rsrc_update2 update = {};
  update.offset = place;
  update.data = reinterpret_cast<uint64_t>(&piece);
  update.tags = tag == 0 ? 0 : reinterpret_cast<uint64_t>(&tag);
  update.nr = 1;
  ring->Register(IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof update, "IORING_REGISTER_BUFFERS_UPDATE");
}

}  // namespace bench
