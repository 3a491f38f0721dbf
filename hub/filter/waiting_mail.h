// Mail that is accepted and waits for a content filter that is down (when_down: queue_and_wait): held,
// durable and copied as all mail is, with the filters that it has to pass in its envelope. When the filter is
// back each message is put before it, in the order of acceptance, and what comes of it is accepted as a new
// message in the commit that ends the waiting one. Nothing here bypasses a filter, and nothing ages: a
// message leaves only filtered, refused by the filter (then its sender is told), or by the operator's bounce.
//
// What waits is known by its row: about a hundred octets of memory each. It is read from the spool at the
// start, and whenever the number of held messages says that there is more (a take-over, a hand-over). Owned
// by the hub; home thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "hub/filter/content_filters.h"
#include "hub/outbound/outbound.h"
#include "hub/peering/peering.h"

namespace umbra::hub {

class FilteringIntake;

/// What is in the spool of a message that waits.
struct WaitingContent {
  std::string trace;  ///< the field that the hub put on top
  milter::HeaderSection header;
  std::string separator;
  std::unique_ptr<MessageBuffer> body;
};

class WaitingMail {
 public:
  /// The references must outlive it.
  WaitingMail(Runtime runtime, const Config& config, storage::Spool& spool, Peering& peering,
              Outbound& outbound, ContentFilters& filters, EventLog& log, Metrics& metrics);

  void start(FilteringIntake& intake);
  Task<void> stop();

  /// Was accepted just now.
  void added(const std::string& filter, RowId row, std::uint64_t octets);
  /// No more mail may wait for it: what waits is too old or too much.
  [[nodiscard]] bool is_full(const ContentFilterConfig& filter) const;
  /// For readiness; empty: nothing.
  [[nodiscard]] std::string why_not_ready() const;
  /// Fills in what waits for each.
  void report(std::vector<Gauges::ContentFilter>& filters) const;
  /// Some filter of that envelope is still configured: its message is not the operator's to release.
  [[nodiscard]] bool waits(const Envelope& envelope) const;

 private:
  struct Waiting {
    std::uint64_t octets = 0;
    WallTime since{};
    MonotonicTime not_before = MonotonicTime::min();  ///< the filter asked to try again later
  };
  struct Line {
    std::map<RowId, Waiting> messages;
    std::uint64_t octets = 0;
    bool is_moving = false;
    bool is_unknown_logged = false;
  };
  enum class Step : std::uint8_t { gone, later, stay };

  Task<void> run();
  Task<void> look();
  Task<void> scan(std::uint64_t held);
  Task<void> release_all(std::string name);
  Task<Step> release(RowId row);
  Task<Step> release_claimed(RowId row);
  Task<Step> put_before_filters(storage::StoredMessage message,
                                std::vector<std::shared_ptr<ContentFilter>> filters);
  Task<Result<WaitingContent>> read(RowId row, std::uint64_t octets, std::size_t header_octets_max);
  void remove(Line& line, RowId row);
  [[nodiscard]] std::size_t count() const;
  [[nodiscard]] const Line* find(const std::string& name) const;

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Peering& peering_;
  Outbound& outbound_;
  ContentFilters& filters_;
  EventLog& log_;
  Metrics& metrics_;
  FilteringIntake* intake_ = nullptr;
  std::map<std::string, Line> lines_;        ///< by the filter that is next
  std::optional<std::uint64_t> other_held_;  ///< held messages that do not wait, when it was looked last
  TaskScope tasks_;
  Timer pause_;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
