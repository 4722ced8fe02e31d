// The keys and values that a run hands to RocksDB, made before the clock runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <rocksdb/slice.h>

#include "numbered_entries.h"
#include "trace.h"

namespace bench {

// Keys of all operations of a trace, and the values of some of those that write; one behind the other, in the order of the
// trace. The entries and the trace must outlive it.
class Inputs {
 public:
  Inputs(const NumberedEntries& entries, const Trace& trace) : entries_(entries), trace_(trace) {
    keys_.resize(trace.size() * kKeyBytes);
    for (size_t i = 0; i < trace.size(); i++) entries.WriteKey(&keys_[i * kKeyBytes], trace[i].number);
  }

  rocksdb::Slice Key(size_t at) const { return {&keys_[at * kKeyBytes], kKeyBytes}; }

  uint64_t ValueBytes(Span span) const {
    uint64_t writes = 0;
    for (size_t i = span.from; i < span.to; i++) writes += trace_[i].writes();
    return writes * entries_.value_bytes();
  }

  // In the place of those that were made before.
  void MakeValues(Span span) {
    made_ = span;
    places_.resize(span.to - span.from);
    values_.resize(ValueBytes(span));
    size_t place = 0;
    for (size_t i = span.from; i < span.to; i++) {
      places_[i - span.from] = place;
      if (!trace_[i].writes()) continue;
      entries_.WriteValue(&values_[place], trace_[i].number, trace_[i].argument());
      place += entries_.value_bytes();
    }
  }

  // Made in the room where it was not made before. The room has the size of a value.
  rocksdb::Slice Value(size_t at, char* room) const {
    if (at >= made_.from && at < made_.to) return {&values_[places_[at - made_.from]], entries_.value_bytes()};
    entries_.WriteValue(room, trace_[at].number, trace_[at].argument());
    return {room, entries_.value_bytes()};
  }

 private:
  const NumberedEntries& entries_;
  const Trace& trace_;
  std::vector<char> keys_;
  Span made_{0, 0};
  std::vector<size_t> places_;
  std::vector<char> values_;
};

}  // namespace bench
