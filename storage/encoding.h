// The small binary forms inside rows: holders, queue entries, lists of numbers. Read by nobody but this
// program; a form that does not parse means a damaged database and gives nullopt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/spool.h"

namespace umbra::storage {

std::string encode_holders(const std::vector<Holder>& holders);
std::optional<std::vector<Holder>> decode_holders(std::string_view octets);

std::string encode_queue(const std::vector<QueueEntry>& queue);
std::optional<std::vector<QueueEntry>> decode_queue(std::string_view octets);

std::string encode_history(const std::vector<OwnerRecord>& history);
std::optional<std::vector<OwnerRecord>> decode_history(std::string_view octets);
std::string encode_note(const MessageNote& note);
std::optional<MessageNote> decode_note(std::string_view octets);

/// Ascending numbers, as differences.
std::string encode_numbers(const std::vector<std::uint64_t>& numbers);
std::optional<std::vector<std::uint64_t>> decode_numbers(std::string_view octets);
std::string encode_indexes(const std::vector<std::uint32_t>& indexes);
std::optional<std::vector<std::uint32_t>> decode_indexes(std::string_view octets);

/// An envelope with its checksum. Without one (it begins with the version of its form then) it was written by
/// a version that made none.
std::string encode_sealed(const Envelope& envelope);
std::optional<Envelope> decode_sealed(std::string_view octets);

inline std::int64_t to_column(WallTime time) {
  return time.time_since_epoch().count();
}
inline WallTime time_from_column(std::int64_t micros) {
  return WallTime(WallClock::duration(micros));
}

}  // namespace umbra::storage
