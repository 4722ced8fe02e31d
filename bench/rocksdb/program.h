// What the programs of this directory have in common: failing, the values they are given by name, the time they took.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include <rocksdb/status.h>

namespace bench {

// Without destructors: other threads may be at work on what these destroy.
[[noreturn]] inline void Fail(const std::string& what) {
  fprintf(stderr, "%s\n", what.c_str());
  std::_Exit(1);
}

inline void Check(const rocksdb::Status& status) {
  if (!status.ok()) Fail(status.ToString());
}

// Words that have names, each of which must be there when it is asked for.
class NamedValues {
 public:
  void Add(const std::string& name, const std::string& value) { values_[name] = value; }

  const std::string& Text(const std::string& name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) Fail(name + " is missing");
    return found->second;
  }

  uint64_t Number(const std::string& name) const {
    const std::string& text = Text(name);
    char* end;
    const uint64_t number = strtoull(text.c_str(), &end, 10);
    if (text.empty() || *end != '\0') Fail(name + " is no number: " + text);
    return number;
  }

  bool Flag(const std::string& name) const {
    const std::string& text = Text(name);
    if (text != "true" && text != "false") Fail(name + " is neither true nor false: " + text);
    return text == "true";
  }

 private:
  std::map<std::string, std::string> values_;
};

// Of all threads of the process, in user and kernel mode.
inline double CpuSeconds() {
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) Fail("getrusage failed");
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace bench
