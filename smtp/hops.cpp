#include "smtp/hops.h"

#include <algorithm>
#include <set>

#include "smtp/address.h"
#include "smtp/header_field.h"

namespace umbra::smtp {
namespace {

struct Line {
  std::string_view text;  // without its end
  std::string_view rest;
};

Line first_line(std::string_view text) {
  auto end = text.find('\n');
  auto line = text.substr(0, end);
  auto rest = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return {line, rest};
}

/// Does what the field says fit to the Received field below it?
std::string misfit(const HopRead& read, std::set<MessageId>& seen) {
  if (!read.has_hop_field) return {};
  if (!read.hop) return "the Umbra-Hop field is not in the form of one";
  if (!read.received)
    return "there is no Received field right below it, where the hub that wrote it has its own";
  const auto& hop = *read.hop;
  const bool is_same_id = hop.id && parse_message_id(read.received->id) == hop.id;
  const bool is_same_host = !hop.host.empty() && equals_ignoring_case(hop.host, read.received->by);
  if (!is_same_id && !is_same_host) return "the Received field below it has another id and another host";
  if (hop.id && !seen.insert(*hop.id).second) return "a field above it has the same id";
  return {};
}

void judge(std::vector<HopRead>& hops, const std::vector<std::string>& own) {
  std::set<MessageId> seen;
  auto is_own = [&](const HopRead& read) {
    return read.received && std::ranges::any_of(own, [&](const auto& host) {
             return equals_ignoring_case(host, read.received->by);
           });
  };
  std::string came_with;  // whose word it is that all below came in with the message
  for (std::size_t i = 0; i < hops.size(); ++i) {
    auto& read = hops[i];
    read.doubt = misfit(read, seen);
    if (read.doubt.empty() && !came_with.empty())
      read.doubt = "it was in the message when " + came_with + " took it";
    if (!came_with.empty()) continue;
    // A field that does not fit is nobody's: it says nothing of what is below it. The Received field under it
    // counts by itself.
    const bool is_hub = read.hop && read.doubt.empty();
    if (!is_hub && !is_own(read)) continue;
    if (i + 1 < hops.size() && !is_own(hops[i + 1])) came_with = !read.received ? "it" : read.received->by;
  }
}

}  // namespace

HopsRead read_hops(std::string_view message, const std::vector<std::string>& own) {
  HopsRead result;
  auto text = message.substr(0, header_octets_read_max);
  std::size_t number = 0;
  bool has_field = false;
  bool is_ended = false;
  std::optional<HopRead> above;  // an Umbra-Hop field whose Received field is to come
  while (!text.empty() && result.hops.size() < hops_max) {
    auto line = first_line(text);
    if (!is_header_line(line.text, has_field)) {
      is_ended = true;
      break;
    }
    const auto* begin = line.text.data();
    const auto first = ++number;
    text = line.rest;
    has_field = true;
    // Its folds.
    const auto* end = begin + line.text.size();
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
      auto fold = first_line(text);
      end = fold.text.data() + fold.text.size();
      text = fold.rest;
      ++number;
    }
    const std::string_view field(begin, static_cast<std::size_t>(end - begin));
    const auto name = field_name(field.substr(0, field.find('\n')));
    const auto value = name.empty() ? std::string_view{} : field.substr(field.find(':') + 1);
    const bool is_received = equals_ignoring_case(name, "Received");
    if (above && !is_received) result.hops.push_back(*std::exchange(above, std::nullopt));
    if (equals_ignoring_case(name, hop_field_name)) {
      above = HopRead{
          .received = {}, .hop = parse_hop_field(value), .has_hop_field = true, .line = first, .doubt = {}};
    } else if (is_received) {
      auto read =
          above ? *std::exchange(above, std::nullopt)
                : HopRead{.received = {}, .hop = {}, .has_hop_field = false, .line = first, .doubt = {}};
      read.received = parse_received(value);
      result.hops.push_back(std::move(read));
    }
  }
  if (above) result.hops.push_back(std::move(*above));
  result.is_cut = !is_ended && (!text.empty() || message.size() > header_octets_read_max);
  judge(result.hops, own);
  return result;
}

}  // namespace umbra::smtp
