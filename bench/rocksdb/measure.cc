// Reads the kernel's accounts of the process, and prints answers.
#include "measure.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <utility>

#include "json.h"
#include "program.h"

namespace bench {
namespace {

// LATENCY_SHARES of bench/workload/session.ts.
constexpr double kLatencyShares[] = {0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999};

// Without pages of files, which are the page cache's.
uint64_t ResidentBytes() {
  std::ifstream file("/proc/self/status");
  uint64_t kibibytes = 0;
  for (std::string name; file >> name;) {
    uint64_t value = 0;
    if ((name == "RssAnon:" || name == "RssShmem:") && file >> value) kibibytes += value;
  }
  if (kibibytes == 0) Fail("/proc/self/status does not say what is resident");
  return kibibytes * 1024;
}

// By nearest rank.
double AtShare(const std::vector<float>& sorted, double share) {
  // A share like 0.999 is not exact, and neither is what it is multiplied to.
  const double rank = std::ceil(static_cast<double>(sorted.size()) * share - 1e-6);
  return sorted[std::max(static_cast<size_t>(rank), size_t{1}) - 1];
}

std::string LatenciesJson(std::vector<float> latency_micros) {
  if (latency_micros.empty()) return "null";
  std::sort(latency_micros.begin(), latency_micros.end());
  std::vector<std::string> parts;
  for (const double share : kLatencyShares) parts.push_back(JsonNumber(AtShare(latency_micros, share)));
  return JsonArray(parts);
}

}  // namespace

void Print(const std::string& row, Measured measured) {
  if (row == "-") return;
  JsonObject line;
  line.Text("row", row)
      .Count("operations", measured.operations)
      .Count("calls", measured.calls)
      .Seconds("seconds", measured.seconds)
      .Seconds("cpuSeconds", measured.cpu_seconds)
      .Count("diskReadBytes", measured.disk_read_bytes)
      .Count("diskWriteBytes", measured.disk_write_bytes)
      .Part("latencyMicros", LatenciesJson(std::move(measured.latency_micros)))
      .Count("residentBytes", ResidentBytes());
  puts(line.Finish().c_str());
}

Resources Resources::Now() {
  std::ifstream file("/proc/self/io");
  NamedValues accounts;
  std::string name;
  for (std::string value; file >> name >> value;) accounts.Add(name, value);
  return {CpuSeconds(), accounts.Number("read_bytes:"), accounts.Number("write_bytes:")};
}

void Meter::Start() {
  if (!was_started_) at_start_ = Resources::Now();
  was_started_ = true;
  started_ = Clock::now();
}

void Meter::Stop() { seconds_ += SecondsBetween(started_, Clock::now()); }

Measured Meter::Finish(uint64_t operations, uint64_t calls) const {
  const Resources now = Resources::Now();
  Measured measured;
  measured.operations = operations;
  measured.calls = calls;
  measured.seconds = seconds_;
  measured.cpu_seconds = now.cpu_seconds - at_start_.cpu_seconds;
  measured.disk_read_bytes = now.disk_read_bytes - at_start_.disk_read_bytes;
  measured.disk_write_bytes = now.disk_write_bytes - at_start_.disk_write_bytes;
  return measured;
}

}  // namespace bench
