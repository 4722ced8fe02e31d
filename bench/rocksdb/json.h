// As much of JSON as the answers need: objects that are written part by part.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace bench {

inline std::string JsonNumber(double number) {
  char text[64];
  snprintf(text, sizeof text, "%.9f", number);
  return text;
}

inline std::string JsonArray(const std::vector<std::string>& parts) {
  std::string text = "[";
  for (const std::string& part : parts) text.append(text.size() > 1 ? "," : "").append(part);
  return text + "]";
}

class JsonObject {
 public:
  JsonObject& Count(const std::string& name, uint64_t value) { return Part(name, std::to_string(value)); }
  JsonObject& Seconds(const std::string& name, double value) { return Part(name, JsonNumber(value)); }
  JsonObject& Flag(const std::string& name, bool value) { return Part(name, value ? "true" : "false"); }

  JsonObject& Text(const std::string& name, const std::string& value) {
    std::string quoted = "\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
    return Part(name, quoted + "\"");
  }

  // Of a value that is JSON already.
  JsonObject& Part(const std::string& name, const std::string& json) {
    parts_.append(parts_.empty() ? "\"" : ",\"").append(name).append("\":").append(json);
    return *this;
  }

  std::string Finish() const { return "{" + parts_ + "}"; }

 private:
  std::string parts_;
};

}  // namespace bench
