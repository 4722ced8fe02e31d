// Opens RocksDB with the options one would have in production. What is left at its default deserves a word where it may be
// missed:
//
//   data_block_index_type   binary search; the hash index of blocks is not the default, and costs space
//   recycle_log_file_num    0: RocksDB 7.8 makes it that itself with all recovery modes but kSkipAnyCorruptedRecords, which
//                           is for emergencies; so each sync of the log writes the file's new length as well
//   index and filters       in memory for as long as the table is open, outside of the block cache
//   checksums               of each block that is read from a file are verified
#include "database.h"

#include <dlfcn.h>

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include "json.h"
#include "measure.h"

// RocksDB asks whether it may read through io_uring, where it was built with liburing (Debian's was not).
extern "C" bool RocksDbIOUringEnable() { return true; }

namespace bench {
namespace {

constexpr size_t kBlockBytes = 16 * 1024;
constexpr int kFilterBitsPerKey = 10;
constexpr size_t kWriteBufferBytes = size_t{32} << 20;
// The machine that the comparison is made for has two cores.
constexpr int kBackgroundJobs = 2;
constexpr auto kPollInterval = std::chrono::milliseconds(10);
constexpr auto kSettledWithin = std::chrono::minutes(10);

rocksdb::BlockBasedTableOptions TableOptions(uint64_t cache_bytes) {
  rocksdb::BlockBasedTableOptions table;
  table.block_size = kBlockBytes;
  table.format_version = 5;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kFilterBitsPerKey));
  if (cache_bytes == 0) {
    table.no_block_cache = true;
  } else {
    table.block_cache = rocksdb::NewLRUCache(cache_bytes);
  }
  return table;
}

// Whether the process has it, the shared library of RocksDB and what that is linked with included.
bool HasSymbol(const char* name) { return dlsym(RTLD_DEFAULT, name) != nullptr; }

}  // namespace

rocksdb::Options Database::MakeOptions() const {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableOptions(session_.cache_bytes)));
  options.compression = rocksdb::kNoCompression;
  options.use_direct_reads = session_.is_direct;
  options.use_direct_io_for_flush_and_compaction = session_.is_direct;
  options.level_compaction_dynamic_level_bytes = true;
  options.max_background_jobs = kBackgroundJobs;
  options.write_buffer_size = kWriteBufferBytes;
  options.max_open_files = -1;
  options.manual_wal_flush = session_.is_in_memory && !session_.is_durable;
  return options;
}

rocksdb::WriteOptions Database::write_options() const {
  rocksdb::WriteOptions options;
  options.sync = session_.is_durable;
  return options;
}

double Database::OpenAndGet() {
  const rocksdb::Options options = MakeOptions();
  char key[kKeyBytes];
  entries_.WriteKey(key, 0);
  const Clock::time_point begun = Clock::now();
  rocksdb::DB* opened;
  Check(rocksdb::DB::Open(options, session_.directory, &opened));
  database_.reset(opened);
  std::string value;
  const rocksdb::Status status = opened->Get(rocksdb::ReadOptions(), rocksdb::Slice(key, kKeyBytes), &value);
  const double seconds = SecondsBetween(begun, Clock::now());
  const bool may_be_missing = opened->GetLatestSequenceNumber() == 0;
  if (!(may_be_missing && status.IsNotFound())) {
    Check(status);
    if (!entries_.IsValueOf(value, 0)) Fail("entry 0 has a wrong value");
  }
  return seconds;
}

void Database::Close() {
  Check(database_->Close());
  database_.reset();
}

void Database::Compact() {
  Check(database_->Flush(rocksdb::FlushOptions()));
  Check(database_->CompactRange(rocksdb::CompactRangeOptions(), nullptr, nullptr));
}

bool Database::IsBusy() const {
  using Properties = rocksdb::DB::Properties;
  for (const std::string& name : {Properties::kMemTableFlushPending, Properties::kNumRunningFlushes,
                                  Properties::kCompactionPending, Properties::kNumRunningCompactions}) {
    uint64_t value;
    if (!database_->GetIntProperty(name, &value)) Fail(name + " is not known");
    if (value != 0) return true;
  }
  return false;
}

void Database::Settle() {
  const Clock::time_point begun = Clock::now();
  while (IsBusy()) {
    if (Clock::now() - begun > kSettledWithin) Fail("flushes or compactions do not come to an end");
    std::this_thread::sleep_for(kPollInterval);
  }
}

std::string Database::FilesPerLevel() const {
  std::vector<std::string> counts;
  for (int level = 0; level < database_->NumberLevels(); level++) {
    const std::string name = rocksdb::DB::Properties::kNumFilesAtLevelPrefix + std::to_string(level);
    std::string count;
    if (!database_->GetProperty(name, &count)) Fail(name + " is not known");
    counts.push_back(count);
  }
  return JsonArray(counts);
}

std::string Database::Describe() const {
  const rocksdb::Options options = database_->GetOptions();
  JsonObject details;
  details.Text("io", session_.is_direct ? "direct" : "buffered")
      .Flag("syncsEachWrite", session_.is_durable)
      .Count("blockBytes", kBlockBytes)
      .Count("filterBitsPerKey", kFilterBitsPerKey)
      .Count("cacheBytes", session_.cache_bytes)
      .Count("writeBufferBytes", options.write_buffer_size)
      .Count("backgroundJobs", static_cast<uint64_t>(options.max_background_jobs))
      .Count("recycledLogFiles", options.recycle_log_file_num)
      .Flag("isCompressed", options.compression != rocksdb::kNoCompression)
      // There is such a symbol only in a library that was built with its assertions (without NDEBUG).
      .Flag("hasAssertions", HasSymbol("_ZN7rocksdb9SyncPoint11GetInstanceEv"))
      .Flag("hasIoUring", HasSymbol("io_uring_queue_init"))
      .Part("filesPerLevel", FilesPerLevel());
  return details.Finish();
}

}  // namespace bench
