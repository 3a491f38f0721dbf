// Identities: strong types, their text forms and how they compare. Text forms are what logs, XSHADOW and
// scripts see.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace umbra {

/// A number with a meaning of its own; never mixes with another one.
template <class Tag, class Int = std::uint64_t>
struct StrongNumber {
  Int value = 0;
  constexpr auto operator<=>(const StrongNumber&) const = default;
};

/// Random, made with the spool; 0 is never a spool. Text: 16 lower-case hexadecimal digits.
using SpoolId = StrongNumber<struct SpoolIdTag>;
/// Number of starts of one spool, from 1; durable before the first word to a peer.
using Epoch = StrongNumber<struct EpochTag>;
/// Per message: 1 for its first owner, one higher with every change of owner. The fencing token between hubs.
using Generation = StrongNumber<struct GenerationTag, std::uint32_t>;
/// Per spool: number of committed batches. Told to peers; going backwards means a restored backup.
using Sequence = StrongNumber<struct SequenceTag>;
/// Key of a message or shadow, and of its body, inside one spool. Only grows: (epoch << 40 | counter), so it
/// is never used twice and inserts append.
using RowId = StrongNumber<struct RowIdTag, std::int64_t>;

/// The name of a message for its whole life, whoever owns it: where it was accepted first, and its number
/// there. Text: "<spool id>-<number in hexadecimal>", e.g. "9f86d081884c7d65-10000000002".
struct MessageId {
  SpoolId spool;
  std::uint64_t number = 0;
  auto operator<=>(const MessageId&) const = default;
};

std::string to_string(SpoolId id);
std::string to_string(MessageId id);
std::optional<SpoolId> parse_spool_id(std::string_view text);
std::optional<MessageId> parse_message_id(std::string_view text);
/// Decimal digits only, no sign, no blanks, must fit.
std::optional<std::uint64_t> parse_number(std::string_view text);

}  // namespace umbra

template <class Tag, class Int>
struct std::hash<umbra::StrongNumber<Tag, Int>> {
  std::size_t operator()(umbra::StrongNumber<Tag, Int> n) const noexcept { return std::hash<Int>{}(n.value); }
};
template <>
struct std::hash<umbra::MessageId> {
  std::size_t operator()(const umbra::MessageId& id) const noexcept {
    return std::hash<std::uint64_t>{}(id.spool.value ^ (id.number * 0x9e3779b97f4a7c15ULL));
  }
};
