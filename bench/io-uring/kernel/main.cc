// What uses of io_uring cost and save that the addon cannot switch off one by one: straight on the kernel's interface,
// with and without. bench/io-uring/kernel-program.ts compiles and drives it.
//
//     kernel-rows --list
//     kernel-rows --row N --read-file F --write-file G
//
// The first prints the rows with their arms as one line of JSON. The second reads lines of "arm count" and answers each
// with one line of JSON: figures, or {"refused":"EINVAL from …"} where the kernel does not take what the arm is about.
// An arm is set up at its first line and stays. Anything else that goes wrong is a line on stderr, and the end with 1.
#include <sys/stat.h>

#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <string>

#include "refusal.h"
#include "rows.h"

namespace bench {
namespace {

constexpr size_t kLineBytesMax = 64;

Rows AllRows() {
  Rows rows;
  AddSetUpRows(&rows);
  AddFileRows(&rows);
  AddChainRows(&rows);
  AddBufferRows(&rows);
  AddWakeUpRows(&rows);
  AddDiskRows(&rows);
  return rows;
}

/** As a string of JSON. REQUIRES: no control characters, which texts here do not have. */
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string Number(double value) {
  if (!std::isfinite(value)) throw Broken{"a figure that is no number"};
  char text[64];
  snprintf(text, sizeof text, "%.4f", value);
  return text;
}

void PrintRows() {
  std::string text;
  for (const Row& row : AllRows()) {
    std::string arms;
    for (const Arm& arm : row.arms) arms += (arms.empty() ? "" : ",") + Quoted(arm.name);
    text += (text.empty() ? "" : ",") + ("{\"name\":" + Quoted(row.name)) + ",\"count\":" + std::to_string(row.count) +
            ",\"arms\":[" + arms + "]}";
  }
  printf("[%s]\n", text.c_str());
}

std::string Json(const Result& result) {
  std::string counted;
  for (const auto& [name, value] : result.counted) {
    counted += (counted.empty() ? "" : ",") + Quoted(name) + ":" + Number(value);
  }
  return "{\"operationsPerSecond\":" + Number(result.operations_per_second) +
         ",\"p50Microseconds\":" + Number(result.p50_microseconds) +
         ",\"p99Microseconds\":" + Number(result.p99_microseconds) +
         ",\"cpuMicrosecondsPerOperation\":" + Number(result.cpu_microseconds_per_operation) + ",\"counted\":{" +
         counted + "},\"note\":" + Quoted(result.note) + "}";
}

uint64_t FileBytes(const std::string& path) {
  struct stat status;
  CheckedCall(stat(path.c_str(), &status), "stat");
  return static_cast<uint64_t>(status.st_size);
}

class Arguments {
 public:
  Arguments(int count, char** words) {
    for (int i = 1; i + 1 < count; i += 2) values_[words[i]] = words[i + 1];
  }

  std::string Text(const std::string& name) const {
    const auto found = values_.find("--" + name);
    if (found == values_.end()) throw Broken{"--" + name + " is missing"};
    return found->second;
  }

 private:
  std::map<std::string, std::string> values_;
};

/** `ready`: the arms that are set up. */
std::string Answer(const Arm& arm, size_t at, uint64_t count, const Workplace& workplace,
                   std::map<size_t, Run>* ready) {
  try {
    if (ready->count(at) == 0) ready->emplace(at, arm.make(workplace));
    return Json(ready->at(at)(count));
  } catch (const Refusal& refusal) {
    return "{\"refused\":" + Quoted(refusal.text) + "}";
  }
}

void Serve(const Arguments& arguments) {
  const Rows rows = AllRows();
  const size_t number = strtoul(arguments.Text("row").c_str(), nullptr, 10);
  if (number >= rows.size()) throw Broken{"there is no such row"};
  const Row& row = rows[number];
  Workplace workplace;
  workplace.read_file = arguments.Text("read-file");
  workplace.read_bytes = FileBytes(workplace.read_file);
  workplace.write_file = arguments.Text("write-file");
  workplace.write_bytes = FileBytes(workplace.write_file);
  std::map<size_t, Run> ready;
  char line[kLineBytesMax];
  while (fgets(line, sizeof line, stdin) != nullptr) {
    size_t arm = 0;
    uint64_t count = 0;
    if (sscanf(line, "%zu %" SCNu64, &arm, &count) != 2 || arm >= row.arms.size() || count == 0) {
      throw Broken{std::string("not an arm and a count: ") + line};
    }
    printf("%s\n", Answer(row.arms[arm], arm, count, workplace, &ready).c_str());
    fflush(stdout);
  }
}

int Main(int count, char** words) {
  try {
    if (count == 2 && strcmp(words[1], "--list") == 0) PrintRows();
    else Serve(Arguments(count, words));
    return 0;
  } catch (const Broken& broken) {
    fprintf(stderr, "%s\n", broken.text.c_str());
  } catch (const Refusal& refusal) {
    fprintf(stderr, "%s\n", refusal.text.c_str());
  } catch (const std::exception& error) {
    fprintf(stderr, "%s\n", error.what());
  }
  return 1;
}

}  // namespace
}  // namespace bench

int main(int count, char** words) { return bench::Main(count, words); }
