// The admin API's part for those who follow sessions while they last (`umbra watch`):
//   GET /v1/watch?client=NETWORK&listener=NAME&next_hop=HOST&address=MAIL&direction=in|out&seconds=S
// All of the query is optional.
// The answer goes on, one JSON object a line: records ("event" and its fields); {"dropped": N}, so many were
// lost here because they were not taken in time; {"session": ID, "not_kept": N}, so many of the beginning of
// a session that is shown from now on; {"end": WHY}, the last one. 503: as many watch as may. Values are
// percent-encoded (RFC 3986 section 2.1).

#include "hub/admin/answers.h"
#include "hub/admin/query.h"
#include "hub/logs/session_record.h"
#include "hub/percent.h"

namespace umbra::hub {
namespace {

constexpr std::uint64_t seconds_max = 366ULL * 24 * 3600;
constexpr std::size_t text_octets_max = 500;
constexpr const char* expected_words =
    "expected client=ADDRESS or NETWORK, listener=NAME, next_hop=HOST, address=MAIL, direction=in|out, "
    "seconds=1..31622400";

struct Wanted {
  WatchFilter filter;
  std::optional<Duration> span;
};

std::optional<Wanted> parse(std::string_view query) {
  Wanted wanted;
  auto& filter = wanted.filter;
  for (const auto& part : split_query(query)) {
    if (part.key == "seconds" && part.number && *part.number >= 1 && *part.number <= seconds_max) {
      wanted.span = std::chrono::seconds(*part.number);
      continue;
    }
    auto decoded = percent_decoded(part.value);
    if (!decoded || decoded->empty() || decoded->size() > text_octets_max) return std::nullopt;
    std::string& value = *decoded;
    if (part.key == "client") {
      filter.client = AddressRange::parse(value);
      if (!filter.client) return std::nullopt;
    } else if (part.key == "direction" && (value == "in" || value == "out")) {
      filter.direction = value == "in" ? SessionDirection::in : SessionDirection::out;
    } else if (part.key == "listener") {
      filter.listener = std::move(value);
    } else if (part.key == "next_hop") {
      filter.next_hop = std::move(value);
    } else if (part.key == "address") {
      filter.address = std::move(value);
    } else {
      return std::nullopt;
    }
  }
  return wanted;
}

/// Watches as long as it lives.
class Watch final : public ApiStream {
 public:
  Watch(SessionRecords& records, std::shared_ptr<Watcher> watcher)
      : records_(records), watcher_(std::move(watcher)) {}
  ~Watch() override { abandon(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  Task<std::string> next() override { return watcher_->next(); }
  void abandon() override {
    if (!std::exchange(is_abandoned_, true)) records_.unwatch(watcher_);
  }

 private:
  SessionRecords& records_;
  const std::shared_ptr<Watcher> watcher_;
  bool is_abandoned_ = false;
};

}  // namespace

ApiResponse AdminApi::watch(std::string_view query) {
  auto wanted = parse(query);
  if (!wanted) return error_answer(400, expected_words);
  auto* records = backend_.session_records();
  auto watcher = records == nullptr ? nullptr : records->watch(std::move(wanted->filter));
  if (watcher == nullptr)
    return error_answer(503, "as many watch already as may (" + std::to_string(SessionRecords::watchers_max) +
                                 "), or the hub is stopping");
  if (wanted->span) watcher->end_after(*wanted->span);
  ApiResponse response;
  response.content_type = "application/x-ndjson";
  response.stream = std::make_shared<Watch>(*records, std::move(watcher));
  return response;
}

}  // namespace umbra::hub
