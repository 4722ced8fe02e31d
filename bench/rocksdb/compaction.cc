// What bench/compaction.ts holds quadring against: the same entries, loaded into sorted runs of level 0 and compacted by one
// thread, in RocksDB. Prints one line of JSON; exits with 1 and a line on stderr when anything fails.
//
//     compaction --directory D --entries N --rounds R --runs-per-round U --value-bytes B --seed S --table-bytes T
//
// Options as one would have them in production: no compression, Bloom filters of 10 bits a key, blocks of 16 KiB, O_DIRECT
// for what flushes and compactions do, read-ahead of 2 MiB, files synced.
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

#include "entries.h"
#include "program.h"

namespace bench {
namespace {

constexpr uint32_t kBatchEntries = 1000;
constexpr size_t kReadAheadBytes = 2 << 20;
// Larger than any run: runs end where they are flushed.
constexpr size_t kWriteBufferBytes = size_t{1} << 30;

NamedValues ArgumentsOf(int count, char** words) {
  NamedValues arguments;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = words[i];
    if (name.rfind("--", 0) != 0) Fail(name + " is not the name of an argument");
    arguments.Add(name.substr(2), words[i + 1]);
  }
  return arguments;
}

// What the compaction's own thread says of it. More than one compaction would be added up.
class CompactionTimes : public rocksdb::EventListener {
 public:
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& info) override {
    Check(info.status);
    jobs++;
    thread_cpu_micros += info.stats.cpu_micros;
    input_files += info.stats.num_input_files;
    input_bytes += info.stats.total_input_bytes;
    input_records += info.stats.num_input_records;
    output_files += info.stats.num_output_files;
    output_bytes += info.stats.total_output_bytes;
  }

  uint64_t jobs = 0;
  uint64_t thread_cpu_micros = 0;
  uint64_t input_files = 0;
  uint64_t input_bytes = 0;
  uint64_t input_records = 0;
  uint64_t output_files = 0;
  uint64_t output_bytes = 0;
};

rocksdb::Options OptionsOf(const NamedValues& arguments, std::shared_ptr<CompactionTimes> times) {
  rocksdb::BlockBasedTableOptions table;
  table.block_size = 16 * 1024;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  rocksdb::Options options;
  options.create_if_missing = true;
  options.error_if_exists = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.compression = rocksdb::kNoCompression;
  options.use_direct_io_for_flush_and_compaction = true;
  options.use_direct_reads = true;
  options.compaction_readahead_size = kReadAheadBytes;
  options.level_compaction_dynamic_level_bytes = true;
  options.target_file_size_base = arguments.Number("table-bytes");
  options.write_buffer_size = kWriteBufferBytes;
  options.disable_auto_compactions = true;
  options.level0_slowdown_writes_trigger = 1000;
  options.level0_stop_writes_trigger = 1000;
  options.max_background_jobs = 1;
  options.max_subcompactions = 1;
  options.listeners.push_back(std::move(times));
  return options;
}

void Load(rocksdb::DB* database, OverwrittenEntries* entries, uint32_t rounds, uint32_t runs_per_round) {
  rocksdb::WriteOptions write_options;
  write_options.disableWAL = true;
  rocksdb::WriteBatch batch;
  const auto write = [&] {
    Check(database->Write(write_options, &batch));
    batch.Clear();
  };
  for (uint32_t round = 0; round < rounds; round++) {
    uint64_t written = 0;
    entries->Order(round, [&](uint32_t number) {
      Check(batch.Put(rocksdb::Slice(entries->Key(number)), rocksdb::Slice(entries->Value(number, round))));
      written++;
      // Where the number of the run, written * runs / entries, becomes another.
      const bool is_run_end =
          written * runs_per_round / entries->count() != (written - 1) * runs_per_round / entries->count();
      if (is_run_end || batch.Count() == static_cast<int>(kBatchEntries)) write();
      if (is_run_end) Check(database->Flush(rocksdb::FlushOptions()));
    });
  }
}

struct Contents {
  uint64_t entries = 0;
  uint32_t sum = 0;
};

Contents Scan(rocksdb::DB* database) {
  rocksdb::ReadOptions read_options;
  read_options.readahead_size = kReadAheadBytes;
  read_options.fill_cache = false;
  std::unique_ptr<rocksdb::Iterator> iterator(database->NewIterator(read_options));
  Contents contents;
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    contents.entries++;
    contents.sum += HashEntry(iterator->key().ToStringView(), iterator->value().ToStringView());
  }
  Check(iterator->status());
  return contents;
}

int Main(int count, char** words) {
  const NamedValues arguments = ArgumentsOf(count, words);
  OverwrittenEntries entries(arguments.Number("entries"), arguments.Number("value-bytes"), arguments.Number("seed"));
  // One thread for compactions, one for flushes.
  rocksdb::Env::Default()->SetBackgroundThreads(1, rocksdb::Env::LOW);
  rocksdb::Env::Default()->SetBackgroundThreads(1, rocksdb::Env::HIGH);
  const auto times = std::make_shared<CompactionTimes>();
  rocksdb::DB* opened;
  Check(rocksdb::DB::Open(OptionsOf(arguments, times), arguments.Text("directory"), &opened));
  const std::unique_ptr<rocksdb::DB> database(opened);
  Load(database.get(), &entries, arguments.Number("rounds"), arguments.Number("runs-per-round"));

  rocksdb::CompactRangeOptions compact_options;
  compact_options.max_subcompactions = 1;
  const double cpu_before = CpuSeconds();
  const auto begun = std::chrono::steady_clock::now();
  Check(database->CompactRange(compact_options, nullptr, nullptr));
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begun;
  const double cpu_seconds = CpuSeconds() - cpu_before;

  const Contents contents = Scan(database.get());
  const auto as_number = [](uint64_t value) { return static_cast<double>(value); };
  printf(
      "{\"version\":\"%d.%d.%d\",\"compactions\":%.0f,\"inputFiles\":%.0f,\"inputBytes\":%.0f,\"inputRecords\":%.0f,"
      "\"outputFiles\":%.0f,\"outputBytes\":%.0f,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"threadCpuSeconds\":%.6f,"
      "\"entries\":%.0f,\"sum\":%" PRIu32 "}\n",
      ROCKSDB_MAJOR, ROCKSDB_MINOR, ROCKSDB_PATCH, as_number(times->jobs), as_number(times->input_files),
      as_number(times->input_bytes), as_number(times->input_records), as_number(times->output_files),
      as_number(times->output_bytes), elapsed.count(), cpu_seconds, as_number(times->thread_cpu_micros) / 1e6,
      as_number(contents.entries), contents.sum);
  Check(database->Close());
  return 0;
}

}  // namespace
}  // namespace bench

int main(int count, char** words) { return bench::Main(count, words); }
