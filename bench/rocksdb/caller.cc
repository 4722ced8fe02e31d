// Calls of RocksDB in the cheapest form that its interface offers for what the run asks.
#include "caller.h"

#include <algorithm>
#include <memory>

namespace bench {
namespace {

rocksdb::ReadOptions ReadOptionsOf(const RunStep& step) {
  rocksdb::ReadOptions options;
  options.async_io = step.async_io;
  return options;
}

void CheckFound(const rocksdb::Status& status, const rocksdb::Slice& value, uint32_t number,
                const NumberedEntries& entries) {
  if (!status.ok()) Fail("entry " + std::to_string(number) + ": " + status.ToString());
  if (!entries.IsValueOf(value.ToStringView(), number)) {
    Fail("entry " + std::to_string(number) + " has a wrong value");
  }
}

// The number of an entry of a range, which must be beyond the one before it.
uint32_t CheckNext(const rocksdb::Iterator& iterator, uint64_t number_min, const NumberedEntries& entries) {
  const std::string_view key = iterator.key().ToStringView();
  const uint32_t number = key.size() == kKeyBytes ? NumberAt(key, kKeyNumberAt) : 0;
  if (number < number_min || !entries.IsValueOf(iterator.value().ToStringView(), number)) {
    Fail("a range has a wrong entry where entry " + std::to_string(number_min) + " or a later one should be");
  }
  return number;
}

}  // namespace

Caller::Caller(const Calls& calls)
    : calls_(calls),
      entries_(calls.database.entries()),
      read_options_(ReadOptionsOf(calls.step)),
      write_options_(calls.database.write_options()),
      room_(entries_.value_bytes(), '\0'),
      keys_(calls.step.group),
      values_(calls.step.group),
      statuses_(calls.step.group) {}

void Caller::Do(Span span) {
  if (calls_.step.group == 1) {
    DoOne(span.from);
    return;
  }
  const What what = calls_.trace[span.from].what();
  for (size_t i = span.from; i < span.to; i++) {
    if (calls_.trace[i].what() != what) Fail("a group has operations of several kinds");
  }
  if (what == What::kGet) {
    MultiGet(span);
  } else if (what == What::kPut) {
    Batch(span);
  } else {
    Fail("a group has operations that no call does several of");
  }
}

void Caller::DoOne(size_t at) {
  switch (calls_.trace[at].what()) {
    case What::kGet:
      Get(at);
      break;
    case What::kPut:
      Put(at);
      break;
    case What::kRange:
      Range(at);
      break;
    case What::kReadModifyWrite:
      Get(at);
      Put(at);
      break;
  }
}

void Caller::Get(size_t at) {
  const rocksdb::Slice key = calls_.inputs.Key(at);
  const uint32_t number = calls_.trace[at].number;
  if (calls_.step.form == Form::kBorrowed) {
    const Database& database = calls_.database;
    const rocksdb::Status status = database->Get(read_options_, database->DefaultColumnFamily(), key, &borrowed_);
    CheckFound(status, borrowed_, number, entries_);
    borrowed_.Reset();
  } else {
    std::string value;
    const rocksdb::Status status = calls_.database->Get(read_options_, key, &value);
    CheckFound(status, value, number, entries_);
  }
}

void Caller::Put(size_t at) {
  Check(calls_.database->Put(write_options_, calls_.inputs.Key(at), calls_.inputs.Value(at, room_.data())));
}

void Caller::Range(size_t at) {
  const std::unique_ptr<rocksdb::Iterator> iterator(calls_.database->NewIterator(read_options_));
  const uint64_t from = calls_.trace[at].number;
  const uint64_t count_max = calls_.trace[at].argument();
  uint64_t count = 0;
  uint64_t number_min = from;
  iterator->Seek(calls_.inputs.Key(at));
  while (count < count_max && iterator->Valid()) {
    number_min = uint64_t{CheckNext(*iterator, number_min, entries_)} + 1;
    count++;
    // Not beyond the last: it would be read for nothing.
    if (count < count_max) iterator->Next();
  }
  Check(iterator->status());
  // Loaded entries are all there; of those that are inserted it is not known which.
  const uint64_t loaded = std::max(calls_.database.session().entries, from) - from;
  if (count < std::min(loaded, count_max)) Fail("the range from entry " + std::to_string(from) + " on is too short");
}

void Caller::MultiGet(Span span) {
  const size_t count = span.to - span.from;
  const Database& database = calls_.database;
  for (size_t i = 0; i < count; i++) keys_[i] = calls_.inputs.Key(span.from + i);
  database->MultiGet(read_options_, database->DefaultColumnFamily(), count, keys_.data(), values_.data(),
                     statuses_.data());
  for (size_t i = 0; i < count; i++) {
    CheckFound(statuses_[i], values_[i], calls_.trace[span.from + i].number, entries_);
    values_[i].Reset();
  }
}

void Caller::Batch(Span span) {
  batch_.Clear();
  for (size_t i = span.from; i < span.to; i++) {
    Check(batch_.Put(calls_.inputs.Key(i), calls_.inputs.Value(i, room_.data())));
  }
  Check(calls_.database->Write(write_options_, &batch_));
}

}  // namespace bench
