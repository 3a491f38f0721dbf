#include "hub/safety_net/filter.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "hub/address_match.h"
#include "hub/percent.h"

namespace umbra::hub {
namespace {

constexpr std::size_t value_octets_max = 1024;
constexpr std::string_view route_prefix = "route:";

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return result;
}

std::optional<WallTime> parse_time(std::string_view text) {
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
  return WallTime(WallClock::duration(number));
}

/// `next_hop` is a destination and, when they are known, a host and an address with its port.
bool matches_next_hop(std::string_view next_hop, std::string_view wanted) {
  const auto all = lower(next_hop);
  const auto name = lower(wanted);
  std::string_view rest = all;
  for (bool is_destination = true; !rest.empty(); is_destination = false) {
    auto word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    if (word == name || (is_destination && word == std::string(route_prefix) + name)) return true;
    if (auto colon = word.rfind(':');
        !is_destination && colon != std::string_view::npos && word.substr(0, colon) == name)
      return true;
  }
  return false;
}

}  // namespace

std::expected<KeptFilter, std::string> parse_kept_filter(std::string_view query,
                                                         const std::vector<std::string_view>& others) {
  KeptFilter filter;
  while (!query.empty()) {
    auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(part.size() + 1, query.size()));
    auto equals = part.find('=');
    auto key = part.substr(0, equals);
    auto value =
        percent_decoded(equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1));
    if (std::ranges::find(others, key) != others.end()) continue;
    bool is_good = value && value->size() <= value_octets_max;
    auto time = value ? parse_time(*value) : std::nullopt;
    auto flag = [&](bool& into) {
      is_good = is_good && (*value == "0" || *value == "1");
      if (is_good) into = *value == "1";
    };
    auto text = [&](std::string& into) {
      is_good = is_good && !value->empty();
      if (is_good) into = *value;
    };
    if (key == "from" || key == "until") {
      is_good = is_good && time.has_value();
      if (is_good) (key == "from" ? filter.from : filter.until) = *time;
    } else if (key == "sender") {
      text(filter.sender);
    } else if (key == "recipient") {
      text(filter.recipient);
    } else if (key == "next_hop") {
      text(filter.next_hop);
    } else if (key == "shadows") {
      flag(filter.include_shadows);
    } else if (key == "unprotected") {
      flag(filter.accept_unprotected);
    } else {
      is_good = false;
    }
    if (!is_good)
      return std::unexpected(
          "expected from=, until=MICROSECONDS since 1970, sender=, recipient=, next_hop=TEXT "
          "(percent-encoded), shadows=0|1, unprotected=0|1");
  }
  if (filter.from > filter.until) return std::unexpected("from is later than until");
  return filter;
}

std::string to_query(const KeptFilter& filter) {
  auto query = fmt::format("from={}&until={}", filter.from.time_since_epoch().count(),
                           filter.until.time_since_epoch().count());
  auto text = [&](const char* key, const std::string& value) {
    if (!value.empty()) query += fmt::format("&{}={}", key, percent_encoded(value));
  };
  text("sender", filter.sender);
  text("recipient", filter.recipient);
  text("next_hop", filter.next_hop);
  if (filter.include_shadows) query += "&shadows=1";
  if (filter.accept_unprotected) query += "&unprotected=1";
  return query;
}

std::vector<std::uint32_t> matching_recipients(const storage::KeptMessage& message, const KeptFilter& filter,
                                               const Router& router) {
  std::vector<std::uint32_t> result;
  if (message.ended_at < filter.from || message.ended_at > filter.until ||
      !matches_address(message.envelope.sender, filter.sender))
    return result;
  const auto& recipients = message.envelope.recipients;
  auto look = [&](std::uint32_t index, std::string_view next_hop) {
    if (index >= recipients.size() || !matches_address(recipients[index].address, filter.recipient)) return;
    if (!filter.next_hop.empty() &&
        !matches_next_hop(
            next_hop.empty() ? router.destination_of(recipients[index].address) : std::string(next_hop),
            filter.next_hop))
      return;
    result.push_back(index);
  };
  if (message.delivered.empty()) {
    for (std::uint32_t i = 0; i < recipients.size(); ++i) look(i, {});
  } else {
    for (const auto& recipient : message.delivered) look(recipient.index, recipient.next_hop);
  }
  std::ranges::sort(result);
  return result;
}

}  // namespace umbra::hub
