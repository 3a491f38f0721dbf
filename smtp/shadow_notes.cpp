// XNOTE: what an owner tells the holders of a message besides which recipients are done (docs/xshadow.md
// section 16), as lines.
#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>

#include "smtp/dsn_parameters.h"
#include "smtp/shadow_verbs.h"

namespace umbra::smtp {
namespace {

constexpr std::string_view hows[] = {"unknown", "accepted", "taken-over", "recovered", "handed-over"};
constexpr std::string_view noted_states[] = {"noted", "wait", "none"};
constexpr std::size_t destination_octets_max = 255;
constexpr std::size_t error_octets_max = 512;
constexpr std::uint64_t time_max = INT64_MAX;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

/// xtext, with what separates things here written as "+XX" too; "-" stands for nothing. Control characters
/// become "?".
std::string to_xtext(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  if (text.empty()) return "-";
  std::string out;
  for (char c : text) {
    auto octet = static_cast<unsigned char>(c);
    if (octet < 0x20 || octet == 0x7f) {
      out += '?';
    } else if (octet <= 0x20 || octet > 0x7e || c == '+' || c == '=' || c == '/' || c == ',' || c == '-') {
      out += '+';
      out += digits[octet >> 4U];
      out += digits[octet & 15U];
    } else {
      out += c;
    }
  }
  return out;
}

std::optional<std::string> from_xtext(std::string_view text, std::size_t octets_max) {
  if (text == "-") return std::string();
  auto decoded = text.empty() ? std::nullopt : parse_xtext(text);
  if (!decoded || decoded->size() > octets_max) return std::nullopt;
  for (char c : *decoded)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
  return decoded;
}

template <class Number>
std::optional<Number> bounded(std::string_view text, std::uint64_t max = std::numeric_limits<Number>::max()) {
  auto n = parse_number(text);
  return n && *n <= max ? std::optional(static_cast<Number>(*n)) : std::nullopt;
}

std::optional<WallTime> parse_time(std::string_view text) {
  auto micros = bounded<std::uint64_t>(text, time_max);
  if (!micros) return std::nullopt;
  return WallTime{WallTime::duration{static_cast<std::int64_t>(*micros)}};
}

std::string format_time(WallTime time) {
  return std::to_string(std::max<std::int64_t>(time.time_since_epoch().count(), 0));
}

std::optional<bool> parse_held(std::string_view text) {
  if (text != "held" && text != "free") return std::nullopt;
  return text == "held";
}

std::string format_attempts(const MessageNote& note) {
  std::string out;
  for (const auto& [destination, attempts] : note.attempts)
    out += (out.empty() ? "" : ",") +
           to_xtext(std::string_view(destination).substr(0, destination_octets_max)) + '/' +
           std::to_string(attempts);
  return out.empty() ? "-" : out;
}

bool parse_attempts(std::string_view text, MessageNote& note) {
  if (text == "-") return true;
  for (auto part : split(text, ',')) {
    auto words = split(part, '/');
    if (words.size() != 2 || note.attempts.size() == noted_destinations_max) return false;
    auto destination = from_xtext(words[0], destination_octets_max);
    auto attempts = bounded<std::uint32_t>(words[1]);
    if (!destination || !attempts) return false;
    note.attempts.emplace_back(std::move(*destination), *attempts);
  }
  return true;
}

std::string format_history(const MessageNote& note) {
  std::string out;
  for (const auto& owner : note.history)
    out += (out.empty() ? "" : ",") + std::string(hows[static_cast<std::size_t>(owner.how)]) + '/' +
           std::to_string(owner.generation.value) + '/' + owner.hub + '/' + to_string(owner.spool) + '/' +
           format_time(owner.since) + '/' + std::to_string(owner.attempts);
  return out.empty() ? "-" : out;
}

bool parse_history(std::string_view text, MessageNote& note) {
  if (text == "-") return true;
  for (auto part : split(text, ',')) {
    auto words = split(part, '/');
    if (words.size() != 6 || note.history.size() == owner_records_max) return false;
    auto how = std::ranges::find(hows, words[0]);
    auto generation = bounded<std::uint32_t>(words[1]);
    auto spool = parse_spool_id(words[3]);
    auto since = parse_time(words[4]);
    auto attempts = bounded<std::uint32_t>(words[5]);
    if (how == std::end(hows) || !generation || *generation == 0 || !is_hub_name(words[2]) || !spool ||
        !since || !attempts)
      return false;
    note.history.push_back({Generation{*generation}, static_cast<OwnerRecord::How>(how - std::begin(hows)),
                            std::string(words[2]), *spool, *since, *attempts});
  }
  return true;
}

}  // namespace

std::string format_note(const NoteItem& item) {
  const auto& note = item.note;
  return to_string(item.id) + ' ' + std::to_string(item.generation.value) + ' ' +
         std::to_string(note.number) + (note.is_held ? " held " : " free ") + format_time(note.alarm_at) +
         ' ' + format_attempts(note) + ' ' + format_history(note) + ' ' +
         to_xtext(std::string_view(note.last_error).substr(0, error_octets_max)) +
         (note.next_hop.empty() ? "" : ' ' + to_xtext(note.next_hop));
}

std::optional<NoteItem> parse_note(std::string_view line) {
  auto words = split(line, ' ');
  if (words.size() != 8 && words.size() != 9) return std::nullopt;
  NoteItem item;
  auto id = parse_message_id(words[0]);
  auto generation = bounded<std::uint32_t>(words[1]);
  auto number = bounded<std::uint32_t>(words[2]);
  auto is_held = parse_held(words[3]);
  auto alarm = parse_time(words[4]);
  auto error = from_xtext(words[7], error_octets_max);
  if (!id || !generation || *generation == 0 || !number || *number == 0 || !is_held || !alarm || !error)
    return std::nullopt;
  item.id = *id;
  item.generation = Generation{*generation};
  item.note.number = *number;
  item.note.is_held = *is_held;
  item.note.alarm_at = *alarm;
  item.note.last_error = std::move(*error);
  if (words.size() == 9) {
    auto next_hop = from_xtext(words[8], next_hop_octets_max);
    if (!next_hop || next_hop->empty()) return std::nullopt;
    item.note.next_hop = std::move(*next_hop);
  }
  if (!parse_attempts(words[5], item.note) || !parse_history(words[6], item.note)) return std::nullopt;
  return item;
}

std::string format_notes(const std::vector<NoteItem>& notes) {
  std::string lines;
  for (const auto& item : notes) lines += format_note(item) + "\r\n";
  return "XNOTE " + std::to_string(lines.size()) + "\r\n" + lines;
}

std::string format_copy_note(const MessageNote& note) {
  return "NOTE:" + std::to_string(note.number) + (note.is_held ? ":held:" : ":free:") +
         format_time(note.alarm_at) + (note.next_hop.empty() ? "" : ':' + to_xtext(note.next_hop));
}

std::optional<MessageNote> parse_copy_note(std::string_view word) {
  auto words = split(word, ':');
  if (words.size() < 4 || words[0] != "NOTE") return std::nullopt;
  MessageNote note;
  if (words.size() > 4) {  // of all that is behind the alarm, colons too
    auto next_hop =
        from_xtext(word.substr(static_cast<std::size_t>(words[4].data() - word.data())), next_hop_octets_max);
    if (!next_hop || next_hop->empty()) return std::nullopt;
    note.next_hop = std::move(*next_hop);
  }
  auto number = bounded<std::uint32_t>(words[1]);
  auto is_held = parse_held(words[2]);
  auto alarm = parse_time(words[3]);
  if (!number || *number == 0 || !is_held || !alarm) return std::nullopt;
  note.number = *number;
  note.is_held = *is_held;
  note.alarm_at = *alarm;
  return note;
}

std::string format_noted(MessageId id, NotedState state) {
  return to_string(id) + ' ' + std::string(noted_states[static_cast<std::size_t>(state)]);
}

std::optional<std::pair<MessageId, NotedState>> parse_noted(std::string_view line) {
  auto words = split(line, ' ');
  auto id = words.size() == 2 ? parse_message_id(words[0]) : std::nullopt;
  auto state = words.size() == 2 ? std::ranges::find(noted_states, words[1]) : std::end(noted_states);
  if (!id || state == std::end(noted_states)) return std::nullopt;
  return std::pair{*id, static_cast<NotedState>(state - std::begin(noted_states))};
}

}  // namespace umbra::smtp
