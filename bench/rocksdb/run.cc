// Does the operations of a trace: those that warm up by one thread, the others by one or by several, on the clock.
//
// What RocksDB is given is made while the clock stands. A single thread does as many calls at a time as have values of no
// more than kValuesBytesMax, and the clock stands between them; where calls are batches it is one, so that its values are
// in the processor's caches as they are in a program that has just made them. Several threads take the calls one by one,
// whoever is free; there, where the values are more than kValuesBytesMax in all, each is made on the clock by the thread
// that needs it: a copy of its bytes.
#include "run.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "caller.h"

namespace bench {
namespace {

constexpr uint64_t kValuesBytesMax = uint64_t{256} << 20;
// More calls than these are too many to keep the latency of each, and too short for it.
constexpr size_t kLatenciesMax = 200'000;
// Reading the clock twice would be a part of calls that take less.
constexpr double kTimedSecondsMin = 5e-6;
// Of those that warm up, the last ones tell how long calls are.
constexpr size_t kJudgedCalls = 1000;
// Alone, the clock is looked at after so many calls to see whether the time is over.
constexpr size_t kLookEvery = 64;

class TraceRun {
 public:
  TraceRun(const RunStep& step, const Database& database)
      : step_(step),
        database_(database),
        trace_(ReadTrace(step.trace, database.session().capacity)),
        inputs_(database.entries(), trace_),
        calls_{database, trace_, inputs_, step_} {
    if (step.warm_up >= trace_.size()) Fail("nothing is left of " + step.trace + " behind what warms up");
  }

  Measured Do() {
    const bool are_calls_short = WarmUp();
    timed_ = {step_.warm_up, trace_.size()};
    if (TimesCalls(are_calls_short)) latency_micros_.resize(CallsIn(timed_));
    Meter meter;
    const size_t end =
        step_.threads == 1 ? DoAlone(timed_, &meter, step_.milliseconds_max) : DoTogether(timed_, &meter);
    if (step_.ends_durable) MakeDurable(&meter);
    const Span done{timed_.from, end};
    Measured measured = meter.Finish(done.to - done.from, CallsIn(done));
    if (!latency_micros_.empty()) latency_micros_.resize(CallsIn(done));
    measured.latency_micros = std::move(latency_micros_);
    return measured;
  }

 private:
  size_t CallsIn(Span span) const { return (span.to - span.from + step_.group - 1) / step_.group; }

  // The call that begins with an operation of the span.
  Span CallAt(size_t from, Span span) const { return {from, std::min(from + step_.group, span.to)}; }

  // Whether calls were short at its end, when caches were filled.
  bool WarmUp() {
    const size_t calls = CallsIn({0, step_.warm_up});
    const size_t judged_from = (calls - std::min(calls, kJudgedCalls)) * step_.group;
    const Span judged{judged_from, step_.warm_up};
    Meter filling_meter;
    DoAlone({0, judged.from}, &filling_meter, step_.milliseconds_max);
    Meter meter;
    DoAlone(judged, &meter, 0);
    return meter.seconds() < kTimedSecondsMin * static_cast<double>(CallsIn(judged));
  }

  // Short ones are nevertheless where the row is held against promises, or where threads wait for each other.
  bool TimesCalls(bool are_short) const {
    if (CallsIn(timed_) > kLatenciesMax) return false;
    return !are_short || step_.threads > 1 || step_.form == Form::kPromise;
  }

  // Where the calls end whose values are made at once; behind one call at least.
  size_t StretchEnd(Span span) const {
    const uint64_t bytes_max = step_.group > 1 ? 0 : kValuesBytesMax;
    Span call = CallAt(span.from, span);
    uint64_t bytes = inputs_.ValueBytes(call);
    while (call.to < span.to) {
      const Span next = CallAt(call.to, span);
      bytes += inputs_.ValueBytes(next);
      if (bytes > bytes_max) break;
      call = next;
    }
    return call.to;
  }

  static bool IsLate(const Meter& meter, uint64_t milliseconds_max) {
    return milliseconds_max > 0 && meter.SecondsSoFar() * 1000 > static_cast<double>(milliseconds_max);
  }

  // Where it ended: the end of the span, or what had been reached when the time was over.
  size_t DoAlone(Span span, Meter* meter, uint64_t milliseconds_max) {
    Caller caller(calls_);
    for (Span stretch{span.from, span.from}; stretch.to < span.to; stretch.from = stretch.to) {
      stretch.to = StretchEnd({stretch.from, span.to});
      inputs_.MakeValues(stretch);
      meter->Start();
      size_t calls = 0;
      for (size_t at = stretch.from; at < stretch.to; at += step_.group) {
        if (calls++ % kLookEvery == 0 && IsLate(*meter, milliseconds_max)) {
          meter->Stop();
          return at;
        }
        DoCall(&caller, CallAt(at, stretch));
      }
      meter->Stop();
    }
    return span.to;
  }

  size_t DoTogether(Span span, Meter* meter) {
    const bool are_values_made = inputs_.ValueBytes(span) <= kValuesBytesMax;
    inputs_.MakeValues(are_values_made ? span : Span{0, 0});
    std::atomic<size_t> waiting{0};
    std::atomic<bool> may_begin{false};
    std::atomic<size_t> next{span.from};
    std::atomic<bool> is_late{false};
    std::vector<std::thread> threads;
    for (size_t i = 0; i < step_.threads; i++) {
      threads.emplace_back([&] {
        Caller caller(calls_);
        waiting++;
        while (!may_begin) std::this_thread::yield();
        size_t at;
        while (!is_late && (at = next.fetch_add(step_.group, std::memory_order_relaxed)) < span.to) {
          DoCall(&caller, CallAt(at, span));
          if (IsLate(*meter, step_.milliseconds_max)) is_late = true;
        }
      });
    }
    while (waiting < step_.threads) std::this_thread::yield();
    meter->Start();
    may_begin = true;
    for (std::thread& thread : threads) thread.join();
    meter->Stop();
    // What was taken was done.
    return std::min(next.load(), span.to);
  }

  // HOT
  void DoCall(Caller* caller, Span call) {
    if (latency_micros_.empty()) {
      caller->Do(call);
      return;
    }
    const Clock::time_point begun = Clock::now();
    caller->Do(call);
    const double seconds = SecondsBetween(begun, Clock::now());
    latency_micros_[(call.from - timed_.from) / step_.group] = static_cast<float>(seconds * 1e6);
  }

  void MakeDurable(Meter* meter) {
    meter->Start();
    Check(database_->FlushWAL(true));
    meter->Stop();
  }

  const RunStep& step_;
  const Database& database_;
  const Trace trace_;
  Inputs inputs_;
  const Calls calls_;
  Span timed_{0, 0};
  // Of each call, by its place; empty where calls are not timed one by one.
  std::vector<float> latency_micros_;
};

}  // namespace

Measured Run(const RunStep& step, const Database& database) { return TraceRun(step, database).Do(); }

}  // namespace bench
