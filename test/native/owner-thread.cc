// A ring that another thread than its own comes near: `owner-thread <act>`. For owner-thread.test.ts, which says what becomes
// of it. Without JavaScript, where an object cannot be handed to another thread in the first place.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include <sys/eventfd.h>

#include "ring.h"

namespace {

constexpr uint32_t kEntries = 8;
constexpr size_t kMemoryBytes = size_t{1} << 20;

/** What the ring's thread prepared is there for the other one to submit. */
void PrepareNop(quadring::BackendOptions* options) {
  quadring::Record record = {};
  record.opcode = quadring::kNop;
  memcpy(options->records, &record, sizeof record);
}

/** The kernel's own answer to an entry by this thread, by name. */
void EnterAside(const quadring::Ring& ring) {
  const int descriptor = ring.Describe().descriptor;
  const int result = io_uring_enter(static_cast<unsigned>(descriptor), 0, 0, IORING_ENTER_GETEVENTS, nullptr);
  printf("%s\n", result < 0 ? quadring::ErrorName(-result).c_str() : "entered");
}

}  // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 2) return 2;
  const char* act = arguments[1];
  const auto is = [act](const char* name) { return strcmp(act, name) == 0; };

  std::vector<int32_t> records(kEntries * quadring::kRecordWords);
  std::vector<uint8_t> names(kEntries * quadring::kNameStride);
  std::vector<int32_t> completions(kEntries * quadring::kCompletionsPerEntry * quadring::kCompletionWords);
  std::vector<double> counters(quadring::kCounters);
  std::vector<uint8_t> memory(kMemoryBytes);
  quadring::BackendOptions options;
  options.entries = kEntries;
  options.records = records.data();
  options.names = names.data();
  options.completions = completions.data();
  options.completion_capacity = kEntries * quadring::kCompletionsPerEntry;
  options.counters = counters.data();
  options.eventfd = eventfd(0, EFD_CLOEXEC);
  options.polling.wanted = is("turn, polled");
  options.polling.idle_milliseconds = 1;
  quadring::Ring ring(options);
  if (const quadring::Failure failure = ring.Open()) {
    fprintf(stderr, "%s\n", failure.message.c_str());
    return 3;
  }
  PrepareNop(&options);
  std::thread([&] {
    if (is("turn") || is("turn, polled")) ring.Turn(1, 0);
    if (is("attach")) ring.Attach(0, memory.data(), memory.size(), {0, 0}, 4096);
    if (is("close")) ring.Close();
    if (is("enter")) EnterAside(ring);
  }).join();
  if (is("own")) printf("%d\n", ring.Turn(1, 1'000'000));
  return 0;
}
