// Reads the text of sessions. What is missing or of another form than sessionText of session.ts gives it ends the process.
#include "session_text.h"

#include <sstream>

namespace bench {
namespace {

void AddWord(const std::string& word, NamedValues* values) {
  const size_t at = word.find('=');
  if (at == std::string::npos || at == 0) Fail(word + " has no name");
  values->Add(word.substr(0, at), word.substr(at + 1));
}

NamedValues StepOf(const std::string& line) {
  NamedValues step;
  std::istringstream words(line);
  for (std::string word; words >> word;) AddWord(word, &step);
  return step;
}

bool IsDirect(const std::string& io) {
  if (io != "direct" && io != "buffered") Fail("no such io: " + io);
  return io == "direct";
}

Form FormOf(const std::string& name) {
  if (name == "borrowed") return Form::kBorrowed;
  if (name == "owned" || name == "either") return Form::kOwned;
  if (name == "promise") return Form::kPromise;
  Fail("no such form: " + name);
}

size_t AtLeastOne(const NamedValues& step, const std::string& name) {
  const uint64_t number = step.Number(name);
  if (number == 0) Fail(name + " is 0");
  return number;
}

}  // namespace

Session ReadSession(std::istream& text) {
  NamedValues values;
  Session session;
  for (std::string line; std::getline(text, line);) {
    if (line.rfind("step=", 0) == 0) {
      session.steps.push_back(StepOf(line));
    } else if (!line.empty()) {
      AddWord(line, &values);
    }
  }
  session.entries = values.Number("entries");
  session.capacity = values.Number("capacity");
  session.value_bytes = values.Number("valueBytes");
  session.directory = values.Text("directory");
  session.cache_bytes = values.Number("cacheBytes");
  session.is_direct = IsDirect(values.Text("io"));
  session.is_durable = values.Flag("durable");
  session.is_in_memory = values.Flag("inMemory");
  return session;
}

RunStep RunStepOf(const NamedValues& step) {
  RunStep run;
  run.trace = step.Text("trace");
  run.warm_up = step.Number("warmUp");
  run.threads = step.Number("threads") > 0 ? step.Number("threads") : AtLeastOne(step, "inFlight");
  run.group = AtLeastOne(step, "group");
  run.form = FormOf(step.Text("form"));
  run.ends_durable = step.Flag("endsDurable");
  run.async_io = step.Flag("asyncIo");
  run.milliseconds_max = step.Number("millisecondsMax");
  return run;
}

}  // namespace bench
