// Sends kept mail again: one request at a time, at a bounded rate, as new messages that are protected like
// any other before they count. How far a request has come is written in the commit that makes the new
// message, so that a crash neither leaves one out nor sends one twice. Nobody is told of what becomes of such
// a message: its recipients ask for no report (RFC 3461, NOTIFY=NEVER). Owned by the composition root; home
// thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hub/admin/safety_net_control.h"
#include "hub/config/config.h"
#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/outbound/outbound.h"
#include "hub/peering/peering.h"
#include "hub/peering/rate.h"

namespace umbra::hub {

class Resender final : public SafetyNetControl {
 public:
  /// `may_work`: nothing, or why no mail is to be made now (the hub is being drained).
  Resender(Runtime runtime, const Config& config, storage::Spool& spool, Peering& peering, Outbound& outbound,
           std::function<std::string()> why_not, EventLog& log, Metrics& metrics);

  /// Goes on with a request that a crash or a stop has interrupted.
  void start();
  void configuration_changed() { router_ = Router(config_.routes); }
  Task<void> stop();

  // SafetyNetControl
  Task<Result<KeptPage>> list(KeptFilter filter, WallTime from, RowId after, std::size_t limit) override;
  Task<Result<ResendPreview>> preview(KeptFilter filter) override;
  Task<Result<ResendAnswer>> begin(std::string request, KeptFilter filter) override;
  Task<Result<std::optional<storage::Resend>>> find(std::string request) override;
  Task<Result<std::vector<storage::Resend>>> recent() override;
  Task<Result<bool>> cancel(std::string request) override;

 private:
  struct Copy;
  enum class Step : std::uint8_t { sent, gone, not_now };
  Task<void> run();
  Task<void> work();
  Task<void> look_at(const storage::KeptMessage& message, const KeptFilter& filter);
  Task<Step> send_again(const storage::KeptMessage& message, std::vector<std::uint32_t> recipients,
                        bool accept_unprotected);
  Task<Result<bool>> copy_body(const storage::KeptMessage& message, Copy& copy);
  Task<bool> wait_until_possible(std::uint64_t octets);
  Task<bool> save();
  Task<void> wait_a_moment(std::string why);
  /// May this hub send it again? Its own, and copies whose owner is gone.
  [[nodiscard]] bool is_ours_to_send(const storage::KeptMessage& message, bool include_silent);
  [[nodiscard]] bool must_be_protected(const Envelope& envelope) const;

  Runtime runtime_;
  const Config& config_;
  storage::Spool& spool_;
  Peering& peering_;
  Outbound& outbound_;
  std::function<std::string()> why_not_;
  EventLog& log_;
  Metrics& metrics_;
  Router router_;
  TaskScope tasks_;
  Timer wake_;
  Rate rate_;
  std::optional<storage::Resend> now_;  ///< the request under way
  bool is_begun_ = false;               ///< what was interrupted is known
  bool is_beginning_ = false;           ///< a request is being written
  bool is_cancelled_ = false;
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
