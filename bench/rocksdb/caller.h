// The calls of a run: each is an operation of the trace, or several at once, and checks what comes back.
#pragma once

#include <string>
#include <vector>

#include <rocksdb/db.h>
#include <rocksdb/slice.h>
#include <rocksdb/write_batch.h>

#include "database.h"
#include "inputs.h"
#include "session_text.h"
#include "trace.h"

namespace bench {

// What all threads of a run have in common.
struct Calls {
  const Database& database;
  const Trace& trace;
  const Inputs& inputs;
  const RunStep& step;
};

// Of one thread. HOT: all of it is on the clock.
class Caller {
 public:
  // The calls must outlive it.
  explicit Caller(const Calls& calls);

  // REQUIRES: no more operations than the step has in a group. Whatever goes wrong ends the process.
  void Do(Span span);

 private:
  void DoOne(size_t at);
  void Get(size_t at);
  void Put(size_t at);
  void Range(size_t at);
  void MultiGet(Span span);
  void Batch(Span span);

  const Calls& calls_;
  const NumberedEntries& entries_;
  const rocksdb::ReadOptions read_options_;
  const rocksdb::WriteOptions write_options_;
  std::string room_;
  rocksdb::PinnableSlice borrowed_;
  std::vector<rocksdb::Slice> keys_;
  std::vector<rocksdb::PinnableSlice> values_;
  std::vector<rocksdb::Status> statuses_;
  rocksdb::WriteBatch batch_;
};

}  // namespace bench
