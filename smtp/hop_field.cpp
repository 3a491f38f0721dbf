#include "smtp/hop_field.h"

#include <algorithm>
#include <array>

#include "base/iso_time.h"
#include "smtp/shadow_verbs.h"

namespace umbra::smtp {
namespace {

constexpr std::size_t line_octets = 78;  // folded beyond; a single parameter may be longer
constexpr std::size_t host_octets_max = 255;
constexpr std::size_t field_octets_max = 16U << 10;
constexpr std::size_t parameters_max = 64;
constexpr std::uint64_t milliseconds_max = 366ULL * 24 * 3600 * 1000;

constexpr std::array<std::string_view, 4> ways = {"unknown", "copy", "delayed", "none"};
constexpr std::array<std::string_view, 5> hows = {"unknown", "accepted", "taken-over", "recovered",
                                                  "handed-over"};

bool is_host_octet(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' ||
         c == '_' || c == ':' || c == '[' || c == ']';
}

std::string harmless(std::string_view host) {
  std::string out(host.substr(0, host_octets_max));
  std::ranges::replace_if(out, [](char c) { return !is_host_octet(c); }, '?');
  return out;
}

/// Appends parameters, and breaks the line where it gets long.
class Field {
 public:
  void add(std::string_view name, std::string_view value) {
    if (!is_first_) out_ += ';';
    if (!is_first_ && line_ + 1 + name.size() + 1 + value.size() > line_octets) {
      out_ += "\r\n\t";
      line_ = 8;
    } else {
      out_ += ' ';
      ++line_;
    }
    out_.append(name).append("=").append(value);
    line_ += name.size() + 1 + value.size() + 1;
    is_first_ = false;
  }
  void add(std::string_view name, std::chrono::milliseconds span) {
    add(name, std::to_string(std::max<std::int64_t>(span.count(), 0)) + "ms");
  }
  std::string take() { return std::move(out_) + "\r\n"; }

 private:
  std::string out_ = std::string(hop_field_name) + ":";
  std::size_t line_ = hop_field_name.size() + 1;
  bool is_first_ = true;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::string_view take_until(std::string_view& text, char separator) {
  auto part = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(part.size() + 1, text.size()));
  return part;
}

std::optional<std::chrono::milliseconds> parse_span(std::string_view text) {
  if (!text.ends_with("ms")) return std::nullopt;
  auto number = parse_number(text.substr(0, text.size() - 2));
  if (!number || *number > milliseconds_max) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*number));
}

/// generation/how/hub[/since]
std::optional<OwnerRecord> parse_owner(std::string_view text) {
  auto generation = parse_number(take_until(text, '/'));
  auto how = std::ranges::find(hows, take_until(text, '/'));
  auto hub = take_until(text, '/');
  if (!generation || *generation == 0 || *generation > 0xffffffffU || how == hows.end() || !is_hub_name(hub))
    return std::nullopt;
  OwnerRecord owner;
  owner.generation = Generation{static_cast<std::uint32_t>(*generation)};
  owner.how = static_cast<OwnerRecord::How>(how - hows.begin());
  owner.hub = hub;
  if (text.empty()) return owner;
  auto since = parse_iso_time(text);
  if (!since) return std::nullopt;
  owner.since = *since;
  return owner;
}

bool parse_copies(std::string_view text, Hop& hop) {
  while (!text.empty()) {
    auto hub = take_until(text, ',');
    if (!is_hub_name(hub) || hop.copies.size() == hop_copies_max) return false;
    hop.copies.emplace_back(hub);
  }
  return !hop.copies.empty();
}

template <class Value>
bool set(std::optional<Value>& into, std::optional<Value> value) {
  if (into || !value) return false;
  into = std::move(value);
  return true;
}

/// False: its value is not in the form of that name, or it was there already.
bool take(std::string_view name, std::string_view value, Hop& hop) {
  if (name == "hub") {
    if (!hop.hub.empty() || !is_hub_name(value)) return false;
    hop.hub = value;
    return true;
  }
  if (name == "host") {
    if (!hop.host.empty() || value.empty() || value.size() > host_octets_max ||
        !std::ranges::all_of(value, is_host_octet))
      return false;
    hop.host = value;
    return true;
  }
  if (name == "id") return set(hop.id, parse_message_id(value));
  if (name == "received") return set(hop.received, parse_iso_time(value));
  if (name == "sent") return set(hop.sent, parse_iso_time(value));
  if (name == "copied") return set(hop.copied, parse_span(value));
  if (name == "acknowledged") return set(hop.acknowledged, parse_span(value));
  if (name == "filtered") return set(hop.filtered, parse_span(value));
  if (name == "redundancy") {
    auto way = std::ranges::find(ways, value);
    if (way == ways.end() || hop.way != RedundancyWay::unknown) return false;
    hop.way = static_cast<RedundancyWay>(way - ways.begin());
    return true;
  }
  if (name == "copies") return hop.copies.empty() && parse_copies(value, hop);
  if (name == "attempt") {
    auto number = parse_number(value);
    if (!number || *number == 0 || *number > 0xffffffffU || hop.attempt != 0) return false;
    hop.attempt = static_cast<std::uint32_t>(*number);
    return true;
  }
  if (name == "owner") {
    auto owner = parse_owner(value);
    if (!owner || hop.owners.size() == owner_records_max) return false;
    hop.owners.push_back(std::move(*owner));
    return true;
  }
  return true;
}

}  // namespace

std::string_view to_string(RedundancyWay way) {
  return ways[static_cast<std::size_t>(way)];
}

std::string hop_field(const Hop& hop) {
  Field field;
  if (is_hub_name(hop.hub)) field.add("hub", hop.hub);
  if (!hop.host.empty()) field.add("host", harmless(hop.host));
  if (hop.id) field.add("id", to_string(*hop.id));
  if (hop.received) field.add("received", iso_time(*hop.received));
  if (hop.sent) field.add("sent", iso_time(*hop.sent));
  if (hop.filtered) field.add("filtered", *hop.filtered);
  if (hop.way != RedundancyWay::unknown) field.add("redundancy", to_string(hop.way));
  std::string copies;
  for (std::size_t named = 0; const auto& hub : hop.copies)
    if (is_hub_name(hub) && named++ < hop_copies_max) copies += (copies.empty() ? "" : ",") + hub;
  if (!copies.empty()) field.add("copies", copies);
  if (hop.copied) field.add("copied", *hop.copied);
  if (hop.acknowledged) field.add("acknowledged", *hop.acknowledged);
  if (hop.attempt != 0) field.add("attempt", std::to_string(hop.attempt));
  for (std::size_t named = 0; const auto& owner : hop.owners) {
    if (!is_hub_name(owner.hub) || owner.generation.value == 0 || named++ == owner_records_max) continue;
    auto text = std::to_string(owner.generation.value) + '/' +
                std::string(hows[static_cast<std::size_t>(owner.how)]) + '/' + owner.hub;
    if (owner.since >= WallTime{std::chrono::milliseconds(1)}) text += '/' + iso_time(owner.since);
    field.add("owner", text);
  }
  return field.take();
}

std::optional<Hop> parse_hop_field(std::string_view value) {
  if (value.size() > field_octets_max) return std::nullopt;
  Hop hop;
  for (std::size_t count = 0; !value.empty(); ++count) {
    auto parameter = trimmed(take_until(value, ';'));
    if (parameter.empty() && trimmed(value).empty()) break;
    auto equals = parameter.find('=');
    if (equals == std::string_view::npos || count == parameters_max) return std::nullopt;
    if (!take(parameter.substr(0, equals), parameter.substr(equals + 1), hop)) return std::nullopt;
  }
  if (hop.hub.empty() && hop.host.empty()) return std::nullopt;
  return hop;
}

}  // namespace umbra::smtp
