#include "hub/admin/cells.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/iso_time.h"
#include "hub/admin/text_view.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string plain(const Json& value) {
  return without_controls(value.is_string() ? value.get<std::string>()
                          : value.is_null() ? std::string("-")
                                            : value.dump());
}

std::string span_text(std::int64_t seconds) {
  auto sign = seconds < 0 ? "-" : "";
  seconds = std::abs(seconds);
  if (seconds < 120) return fmt::format("{}{} s", sign, seconds);
  if (seconds < 7200) return fmt::format("{}{} min", sign, seconds / 60);
  if (seconds < 172'800) return fmt::format("{}{} h", sign, seconds / 3600);
  return fmt::format("{}{} d", sign, seconds / 86'400);
}

std::string age(const Json& value, WallTime now, bool ahead) {
  const auto time = parse_iso_time(plain(value));
  if (!time) return "-";
  using std::chrono::floor, std::chrono::seconds;
  const auto span = (floor<seconds>(now) - floor<seconds>(*time)).count();
  if (!ahead) return span_text(span);
  return span >= 0 ? std::string("now") : span_text(-span);
}

std::string size_text(const Json& value) {
  auto octets = value.get<double>();
  for (const char* unit : {"B", "KB", "MB", "GB"}) {
    if (octets < 1000) return fmt::format("{:.{}f} {}", octets, octets < 10 && unit[0] != 'B' ? 1 : 0, unit);
    octets /= 1000;
  }
  return fmt::format("{:.1f} TB", octets);
}

}  // namespace umbra::hub
