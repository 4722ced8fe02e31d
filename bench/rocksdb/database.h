// RocksDB as a session opens it, and what is done to the database as a whole.
#pragma once

#include <memory>
#include <string>

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include "numbered_entries.h"
#include "session_text.h"

namespace bench {

class Database {
 public:
  // Not open yet. The session and the entries must outlive it.
  Database(const Session& session, const NumberedEntries& entries) : session_(session), entries_(entries) {}

  rocksdb::DB* operator->() const { return database_.get(); }
  const Session& session() const { return session_; }
  const NumberedEntries& entries() const { return entries_; }
  rocksdb::WriteOptions write_options() const;

  // Opens it, creating it where it is missing, and reads the first entry, which only a new database may lack. Returns the
  // seconds that took.
  double OpenAndGet();
  void Close();

  // Memtables are flushed, and everything is compacted.
  void Compact();

  // Waits until nothing is flushed or compacted any more, nor waits to be.
  void Settle();

  // What it was opened with, as JSON.
  std::string Describe() const;

 private:
  rocksdb::Options MakeOptions() const;
  std::string FilesPerLevel() const;
  bool IsBusy() const;

  const Session& session_;
  const NumberedEntries& entries_;
  std::unique_ptr<rocksdb::DB> database_;
};

}  // namespace bench
