#include "hub/outbound/message_clock.h"

#include <algorithm>

#include "hub/outbound/parts.h"

namespace umbra::hub {
namespace {

WallClock::duration to_wall(Duration span) {
  return std::chrono::duration_cast<WallClock::duration>(span);
}

/// The profiles of a message's destinations, as its routes say: the operator's word on its next hop changes
/// neither how long it is tried nor what its sender hears.
class Profiles {
 public:
  Profiles(const Config& config, const Router& router, const Envelope& envelope)
      : config_(config), router_(router), envelope_(envelope) {
    if (!router.has_bounce_profiles()) {
      longest_ = config.delivery.expiry;
      return;
    }
    for (const auto& entry : router.entries_for(envelope, {}, WallTime{}))
      longest_ = std::max(longest_, of(entry.destination).expiry);
  }
  [[nodiscard]] Duration longest() const { return longest_; }
  [[nodiscard]] const BounceProfileConfig& of(const Recipient& recipient) const {
    if (!router_.has_bounce_profiles()) return config_.delivery;
    return of(router_.destination_of(recipient.address, envelope_.trail));
  }
  [[nodiscard]] WallTime expiry(const BounceProfileConfig& profile) const {
    return envelope_.expires_at - to_wall(longest_ - profile.expiry);
  }
  /// max(): none.
  [[nodiscard]] WallTime warning(const BounceProfileConfig& profile, const Recipient& recipient) const {
    if (profile.delay_warning <= Duration{0} || envelope_.sender.empty() || !wants_delay(recipient))
      return WallTime::max();
    return envelope_.accepted_at + to_wall(profile.delay_warning);
  }

 private:
  [[nodiscard]] const BounceProfileConfig& of(const std::string& destination) const {
    return bounce_profile_of(config_, router_.target(destination));
  }

  const Config& config_;
  const Router& router_;
  const Envelope& envelope_;
  Duration longest_{};
};

}  // namespace

WallTime expiry_of(const Config& config, const Router& router, const Envelope& envelope,
                   WallTime accepted_at) {
  return accepted_at + to_wall(Profiles(config, router, envelope).longest());
}

WallTime first_alarm_of(const Config& config, const Router& router, const Envelope& envelope) {
  const Profiles profiles(config, router, envelope);
  WallTime first = envelope.expires_at;
  for (const auto& recipient : envelope.recipients) {
    const auto& profile = profiles.of(recipient);
    first = std::min({first, profiles.expiry(profile), profiles.warning(profile, recipient)});
  }
  return first;
}

DueByClock due_by_clock(const Config& config, const Router& router, const Suspensions* suspensions,
                        const storage::StoredMessage& message, Duration held_for, WallTime now) {
  const auto& recipients = message.envelope.recipients;
  const Profiles profiles(config, router, message.envelope);
  const auto pending = pending_recipients(recipients.size(), message.progress);
  DueByClock due;
  due.expired.resize(recipients.size());
  due.delayed.resize(recipients.size());
  for (std::size_t i = 0; i < recipients.size(); ++i) {
    if (!pending[i]) continue;
    const auto& profile = profiles.of(recipients[i]);
    auto expiry = profiles.expiry(profile) + to_wall(held_for);
    if (suspensions != nullptr) {
      const auto destination =
          router.destination_of(recipients[i].address, message.envelope.trail, message.next_hop);
      const MailPath path{destination, message.envelope.sender, recipients[i].address};
      expiry += to_wall(suspensions->held_back_for(path, message.envelope.accepted_at, now));
      // It is put off from moment to moment.
      if (suspensions->holds_back(path)) expiry = std::max(expiry, now + suspended_look);
    }
    due.expired[i] = expiry <= now;
    due.has_expired = due.has_expired || due.expired[i];
    due.is_all = due.is_all && due.expired[i];
    if (due.expired[i]) continue;
    const auto warning = profiles.warning(profile, recipients[i]);
    due.delayed[i] = warning <= now && warning >= message.alarm_at;
    due.has_delayed = due.has_delayed || due.delayed[i];
    due.next = std::min({due.next, expiry, warning > now ? warning : WallTime::max()});
  }
  return due;
}

}  // namespace umbra::hub
