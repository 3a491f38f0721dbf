// Looking for messages in the queue: what is asked, which messages fit, and one bounded look at the spool. A
// queue may have a million rows: each look reads a page of them on the spool's reader lane, where messages
// are also compared and made into rows of the answer; nothing else of them comes to the home thread. Used by
// the queue's part of the admin API; the query words are those of `umbra queue search`.
#pragma once

#include <expected>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/spool.h"

namespace umbra::hub {

/// All conditions that are there have to hold.
struct QueueFilter {
  std::string sender = {};     ///< an address, `@domain`, or `<>`
  std::string recipient = {};  ///< of one that is still pending: an address or `@domain`
  std::string next_hop = {};   ///< a destination as `umbra queue show` names it, or the name of a route
  std::string error = {};      ///< in its last error, or that of a recipient; in any case
  std::optional<storage::MessageState> state = std::nullopt;
  WallTime since{};  ///< accepted at or after
  WallTime until = WallTime::max();
  [[nodiscard]] bool is_empty() const;
};

/// "sender=TEXT&recipient=TEXT&next-hop=TEXT&error=TEXT&state=queued|held&since=MICROSECONDS&until=MICROSECONDS",
/// percent-encoded: takes what it knows, leaves the rest in `others`. The error says what was expected.
std::expected<QueueFilter, std::string> parse_queue_filter(std::string_view query, std::string& others);
std::string to_query(const QueueFilter& filter);

bool matches(const storage::StoredMessage& message, const QueueFilter& filter);

struct QueuePage {
  struct Row {
    RowId row;
    MessageId id;
    nlohmann::ordered_json summary;  ///< message_summary(), the first recipient that is pending, next hops
  };
  std::vector<Row> found;
  RowId reached;  ///< everything up to this row was looked at
  std::size_t looked_at = 0;
  bool is_end = false;  ///< there is nothing behind it
};
inline constexpr std::size_t rows_per_look = 500;

/// On the reader lane: looks at the next rows_per_look rows, or until `limit` are found.
Result<QueuePage> look_at_queue(storage::Reader& reader, const QueueFilter& filter, RowId after,
                                std::size_t limit);
QueuePage::Row queue_row(const storage::StoredMessage& message);

}  // namespace umbra::hub
