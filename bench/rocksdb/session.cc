// RocksDB's side of the comparison of engines: does the session that comes on stdin, which bench/workload/session.ts
// describes with what is answered on stdout. Whatever is wrong ends it with 1 and a line on stderr.
#include <malloc.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <rocksdb/db.h>
#include <rocksdb/version.h>

#include "database.h"
#include "json.h"
#include "measure.h"
#include "numbered_entries.h"
#include "program.h"
#include "run.h"
#include "session_text.h"

namespace bench {
namespace {

constexpr size_t kScanReadAheadBytes = 2 << 20;

void ScanAll(const Database& database) {
  rocksdb::ReadOptions options;
  options.fill_cache = database.session().cache_bytes > 0;
  // The page cache reads ahead by itself.
  if (database.session().is_direct) options.readahead_size = kScanReadAheadBytes;
  ScanCheck check(database.entries(), database.session().entries);
  const std::unique_ptr<rocksdb::Iterator> iterator(database->NewIterator(options));
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    check.Entry(iterator->key().ToStringView(), iterator->value().ToStringView());
  }
  Check(iterator->status());
  check.Finish();
}

Measured Scan(const NamedValues& step, const Database& database) {
  const uint64_t repeats = step.Number("repeats");
  for (uint64_t i = 0; i < step.Number("warmUp"); i++) ScanAll(database);
  Meter meter;
  meter.Start();
  for (uint64_t i = 0; i < repeats; i++) ScanAll(database);
  meter.Stop();
  return meter.Finish(repeats * database.session().entries, repeats);
}

// Closing is not on the clock, but its CPU time and its traffic are counted.
Measured Reopen(const NamedValues& step, Database* database) {
  const uint64_t repeats = step.Number("repeats");
  std::vector<float> latency_micros;
  double seconds = 0;
  Meter meter;
  meter.Start();
  for (uint64_t i = 0; i < repeats; i++) {
    database->Close();
    const double taken = database->OpenAndGet();
    seconds += taken;
    latency_micros.push_back(static_cast<float>(taken * 1e6));
  }
  meter.Stop();
  Measured measured = meter.Finish(repeats, repeats);
  measured.seconds = seconds;
  measured.latency_micros = std::move(latency_micros);
  return measured;
}

Measured Compact(Database* database) {
  Meter meter;
  meter.Start();
  database->Compact();
  meter.Stop();
  return meter.Finish(1, 1);
}

// What was freed is given back first, as what a garbage collection finds is elsewhere.
Measured Memory() {
  malloc_trim(0);
  return {};
}

void DoStep(const NamedValues& step, Database* database) {
  const std::string& kind = step.Text("step");
  if (kind == "run") {
    Print(step.Text("row"), Run(RunStepOf(step), *database));
  } else if (kind == "scan") {
    Print(step.Text("row"), Scan(step, *database));
  } else if (kind == "reopen") {
    Print(step.Text("row"), Reopen(step, database));
  } else if (kind == "compact") {
    Print(step.Text("row"), Compact(database));
  } else if (kind == "settle") {
    database->Settle();
  } else if (kind == "memory") {
    Print(step.Text("row"), Memory());
  } else {
    Fail("no such step: " + kind);
  }
}

void PrintDescription(const Database& database, double open_seconds) {
  JsonObject line;
  line.Text("engine", "rocksdb")
      .Text("version", rocksdb::GetRocksVersionAsString())
      .Seconds("openSeconds", open_seconds)
      .Part("details", database.Describe());
  puts(line.Finish().c_str());
}

int Main() {
  const Session session = ReadSession(std::cin);
  const NumberedEntries entries(session.capacity, session.value_bytes);
  Database database(session, entries);
  const double open_seconds = database.OpenAndGet();
  PrintDescription(database, open_seconds);
  for (const NamedValues& step : session.steps) DoStep(step, &database);
  database.Close();
  return 0;
}

}  // namespace
}  // namespace bench

int main() {
  // A line each is read as soon as it is there, and none is lost when a later step fails.
  setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  return bench::Main();
}
