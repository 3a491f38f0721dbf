#include "storage/encoding.h"

#include <limits>

#include "base/checksum.h"
#include "base/octets.h"

namespace umbra::storage {
namespace {

constexpr char sealed = '\xc5';  // no version of an envelope's form
constexpr std::size_t seal_octets = 9;

/// A list begins with its count; each element takes at least one octet, so a count above what is left is
/// damage.
template <class T, class ReadOne>
std::optional<std::vector<T>> decode_list(std::string_view octets, ReadOne read_one) {
  OctetReader reader(octets);
  auto count = reader.number();
  if (!reader.ok() || count > octets.size()) return std::nullopt;
  std::vector<T> list;
  list.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    T element{};
    if (!read_one(reader, element) || !reader.ok()) return std::nullopt;
    list.push_back(std::move(element));
  }
  if (!reader.at_end()) return std::nullopt;
  return list;
}

}  // namespace

std::string encode_holders(const std::vector<Holder>& holders) {
  std::string out;
  put_number(out, holders.size());
  for (const auto& holder : holders) {
    put_string(out, holder.hub);
    put_number(out, holder.spool.value);
    put_number(out, static_cast<std::uint64_t>(holder.state));
  }
  return out;
}

std::optional<std::vector<Holder>> decode_holders(std::string_view octets) {
  return decode_list<Holder>(octets, [](OctetReader& reader, Holder& holder) {
    holder.hub = reader.string();
    holder.spool.value = reader.number();
    auto state = reader.number();
    holder.state = static_cast<Holder::State>(state);
    return state <= static_cast<std::uint64_t>(Holder::State::receiver);
  });
}

std::string encode_queue(const std::vector<QueueEntry>& queue) {
  std::string out;
  put_number(out, queue.size());
  for (const auto& entry : queue) {
    put_string(out, entry.destination);
    put_number(out, static_cast<std::uint64_t>(to_column(entry.due)));
    put_number(out, entry.attempts);
  }
  return out;
}

std::optional<std::vector<QueueEntry>> decode_queue(std::string_view octets) {
  return decode_list<QueueEntry>(octets, [](OctetReader& reader, QueueEntry& entry) {
    entry.destination = reader.string();
    entry.due = time_from_column(static_cast<std::int64_t>(reader.number()));
    auto attempts = reader.number();
    entry.attempts = static_cast<std::uint32_t>(attempts);
    return attempts <= std::numeric_limits<std::uint32_t>::max();
  });
}

std::string encode_history(const std::vector<OwnerRecord>& history) {
  std::string out;
  put_number(out, history.size());
  for (const auto& owner : history) {
    put_number(out, owner.generation.value);
    put_number(out, static_cast<std::uint64_t>(owner.how));
    put_string(out, owner.hub);
    put_number(out, owner.spool.value);
    put_number(out, static_cast<std::uint64_t>(to_column(owner.since)));
    put_number(out, owner.attempts);
  }
  return out;
}

std::optional<std::vector<OwnerRecord>> decode_history(std::string_view octets) {
  return decode_list<OwnerRecord>(octets, [](OctetReader& reader, OwnerRecord& owner) {
    owner.generation.value = static_cast<std::uint32_t>(reader.number());
    auto how = reader.number();
    owner.how = static_cast<OwnerRecord::How>(how);
    owner.hub = reader.string();
    owner.spool.value = reader.number();
    owner.since = time_from_column(static_cast<std::int64_t>(reader.number()));
    owner.attempts = static_cast<std::uint32_t>(reader.number());
    return how <= static_cast<std::uint64_t>(OwnerRecord::How::handed_over);
  });
}

std::string encode_note(const MessageNote& note) {
  std::string out;
  put_number(out, note.number);
  put_number(out, note.is_held ? 1 : 0);
  put_number(out, static_cast<std::uint64_t>(to_column(note.alarm_at)));
  std::vector<QueueEntry> attempts;
  for (const auto& [destination, count] : note.attempts) attempts.push_back({destination, {}, count});
  put_string(out, encode_queue(attempts));
  put_string(out, note.last_error);
  put_string(out, encode_history(note.history));
  put_string(out, note.next_hop);
  return out;
}

std::optional<MessageNote> decode_note(std::string_view octets) {
  OctetReader reader(octets);
  MessageNote note;
  note.number = static_cast<std::uint32_t>(reader.number());
  note.is_held = reader.number() != 0;
  note.alarm_at = time_from_column(static_cast<std::int64_t>(reader.number()));
  auto attempts = decode_queue(reader.string());
  note.last_error = reader.string();
  auto history = decode_history(reader.string());
  if (!reader.at_end()) note.next_hop = reader.string();  // before schema 11 there was none
  if (!reader.at_end() || !attempts || !history) return std::nullopt;
  for (auto& entry : *attempts) note.attempts.emplace_back(std::move(entry.destination), entry.attempts);
  note.history = std::move(*history);
  return note;
}

std::string encode_numbers(const std::vector<std::uint64_t>& numbers) {
  std::string out;
  put_number(out, numbers.size());
  std::uint64_t previous = 0;
  for (auto number : numbers) {
    put_number(out, number - previous);
    previous = number;
  }
  return out;
}

std::optional<std::vector<std::uint64_t>> decode_numbers(std::string_view octets) {
  std::uint64_t previous = 0;
  return decode_list<std::uint64_t>(octets, [&previous](OctetReader& reader, std::uint64_t& number) {
    number = previous += reader.number();
    return true;
  });
}

std::string encode_indexes(const std::vector<std::uint32_t>& indexes) {
  return encode_numbers({indexes.begin(), indexes.end()});
}

std::optional<std::vector<std::uint32_t>> decode_indexes(std::string_view octets) {
  auto numbers = decode_numbers(octets);
  if (!numbers) return std::nullopt;
  std::vector<std::uint32_t> indexes;
  indexes.reserve(numbers->size());
  for (auto number : *numbers) {
    if (number > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
    indexes.push_back(static_cast<std::uint32_t>(number));
  }
  return indexes;
}

std::string encode_sealed(const Envelope& envelope) {
  auto form = encode(envelope);
  std::string out(1, sealed);
  for (auto sum = checksum(form); out.size() < seal_octets; sum >>= 8)
    out.push_back(static_cast<char>(sum & 0xff));
  return out += form;
}

std::optional<Envelope> decode_sealed(std::string_view octets) {
  if (!octets.empty() && octets.front() == sealed) {
    if (octets.size() < seal_octets) return std::nullopt;
    std::uint64_t sum = 0;
    for (auto i = seal_octets - 1; i > 0; --i) sum = sum << 8 | static_cast<unsigned char>(octets[i]);
    octets.remove_prefix(seal_octets);
    if (sum != checksum(octets)) return std::nullopt;
  }
  auto envelope = decode_envelope(octets);
  if (!envelope) return std::nullopt;
  return std::move(*envelope);
}

}  // namespace umbra::storage
