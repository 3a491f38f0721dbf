// Puts mail before its content filters between the end of its data and its acceptance (MessageIntake around
// MessageIntake). What is accepted, spooled and copied is what the filters made of it; what they refuse is
// refused to the client, and nothing of it is kept. A message without filters goes straight through. Owned by
// the hub; home thread.
#pragma once

#include <functional>

#include "hub/filter/content_filters.h"
#include "hub/filter/waiting_mail.h"
#include "hub/inbound/accept.h"

namespace umbra::hub {

class FilteringIntake final : public MessageIntake {
 public:
  /// The references must outlive it.
  FilteringIntake(Runtime runtime, MessageIntake& inner, ContentFilters& filters, WaitingMail& waiting,
                  storage::Spool& spool, EventLog& log, Metrics& metrics)
      : runtime_(runtime),
        inner_(inner),
        filters_(filters),
        waiting_(waiting),
        spool_(spool),
        log_(log),
        metrics_(metrics) {}

  std::optional<smtp::Reply> refuse(std::uint64_t announced_octets) override {
    return inner_.refuse(announced_octets);
  }
  /// 452 4.3.1 while as much mail as may be waits for a filter of this client.
  std::optional<smtp::Reply> refuse_client(const ListenerConfig& listener, std::string_view client) override;
  std::unique_ptr<Acceptance> begin(Envelope envelope, const ListenerConfig& listener) override;

  /// What became of a message that waited, besides the reply.
  struct Verdict {
    bool is_down = false;  ///< it waits on
    bool is_discarded = false;
    bool is_refused = false;        ///< by a filter, with the reply
    MessageId waiting{};            ///< the message that waited, for the log
    std::function<bool()> is_ours;  ///< asked when the filters are through: false: it waits on
  };
  /// For mail that waited, to be finished at once: whatever its filters' when_down says, it waits on while
  /// one is down; but `accept` bypasses that one. `verdict` must outlive the acceptance.
  std::unique_ptr<Acceptance> begin_waiting(Envelope envelope, const ListenerConfig& listener,
                                            std::vector<std::shared_ptr<ContentFilter>> filters,
                                            WaitingContent content, Verdict& verdict);

 private:
  class Filtered;

  Runtime runtime_;
  MessageIntake& inner_;
  ContentFilters& filters_;
  WaitingMail& waiting_;
  storage::Spool& spool_;
  EventLog& log_;
  Metrics& metrics_;
};

}  // namespace umbra::hub
