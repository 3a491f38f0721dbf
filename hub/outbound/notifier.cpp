#include "hub/outbound/notifier.h"

#include <algorithm>

#include "hub/outbound/message_clock.h"

namespace umbra::hub {
namespace {

constexpr std::size_t header_octets_max = 64U << 10;
constexpr std::size_t chunk_octets = 64U << 10;

const BounceProfileConfig& profile_of(const Parts& parts, const storage::StoredMessage& original,
                                      const Recipient& recipient) {
  return bounce_profile_of(parts.config, parts.router.target(parts.router.destination_of(
                                             recipient.address, original.envelope.trail)));
}

bool wants_full(const storage::StoredMessage& original, bool has_failure) {
  return has_failure && original.envelope.dsn_return == DsnReturn::full &&
         original.size <= returned_octets_max;
}

// Not beyond the last whole line.
std::string_view whole_lines(std::string_view text) {
  auto end = text.rfind('\n');
  return end == std::string_view::npos ? std::string_view{} : text.substr(0, end + 1);
}

std::string boundary(Random& random) {
  static constexpr char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string result = "umbra";
  for (int i = 0; i < 24; ++i) result.push_back(digits[random.below(36)]);
  return result;
}

}  // namespace

std::size_t wanted_of_body(const storage::StoredMessage& original, bool has_failure) {
  std::size_t wanted = wants_full(original, has_failure) ? returned_octets_max : header_octets_max;
  return static_cast<std::size_t>(std::min<std::uint64_t>(wanted, original.size));
}

std::optional<Notification> make_notification(Parts& parts, const storage::StoredMessage& original,
                                              std::vector<smtp::DsnRecipient> recipients,
                                              std::string_view front) {
  if (original.envelope.sender.empty() || recipients.empty()) return std::nullopt;
  const bool has_failure = std::ranges::any_of(
      recipients, [](const auto& r) { return r.action == smtp::DsnRecipient::Action::failed; });
  const auto& profile = profile_of(parts, original, recipients.front().recipient);
  const bool is_trouble = std::ranges::any_of(recipients, [](const auto& r) {
    return r.action == smtp::DsnRecipient::Action::failed || r.action == smtp::DsnRecipient::Action::delayed;
  });
  Notification notification;
  notification.original = original.id;
  auto& message = notification.message;
  message.row = parts.spool.next_row();
  message.id = {parts.spool.id(), static_cast<std::uint64_t>(message.row.value)};
  message.generation = {1};
  const WallTime now = parts.due_clock.now();

  smtp::DsnText dsn;
  dsn.reporting_mta = parts.config.host_name;
  dsn.message_id = to_string(message.id);
  dsn.original_id = to_string(original.id);
  dsn.boundary = boundary(parts.runtime.random);
  dsn.now = WallClock::now();
  dsn.arrival = original.envelope.accepted_at;
  dsn.will_retry_until = original.envelope.expires_at;
  dsn.to = is_trouble && !profile.report_to.empty() ? profile.report_to : original.envelope.sender;
  dsn.is_plain = is_trouble && profile.format == BounceProfileConfig::Format::plain;
  dsn.envelope_id = original.envelope.envelope_id;
  dsn.recipients = std::move(recipients);
  using Returned = BounceProfileConfig::Returned;
  dsn.is_full = profile.returned == Returned::as_asked && wants_full(original, has_failure) &&
                front.size() == original.size;
  std::string_view header = smtp::header_of(front);
  if (!is_trouble || profile.returned != Returned::nothing)
    dsn.returned = dsn.is_full ? front : header.size() == front.size() ? whole_lines(header) : header;
  smtp::DsnMessage made = smtp::make_dsn(dsn);

  message.envelope.recipients.push_back({dsn.to, "", notify_never});
  message.envelope.body_8bit = made.is_8bit;
  message.envelope.smtputf8 = made.smtputf8;
  message.envelope.accepted_at = now;
  message.envelope.expires_at = expiry_of(parts.config, parts.router, message.envelope, now);
  message.size = made.text.size();
  // As well protected as the message that it tells about.
  message.envelope.protection = original.envelope.protection;
  if (parts.config.cluster.enabled())
    message.envelope.protection.copies = std::max<std::uint8_t>(message.envelope.protection.copies, 1);
  message.is_protected = !parts.config.cluster.enabled();
  message.alarm_at = message.envelope.expires_at;
  message.entered = storage::Entered::notification;
  message.queue = parts.router.entries_for(message.envelope, {}, now);
  notification.text = std::move(made.text);
  ++parts.metrics.notifications_total;
  return notification;
}

Result<void> insert(storage::Writer& writer, const Notification& notification) {
  std::string_view rest = notification.text;
  for (std::uint32_t number = 0; number == 0 || !rest.empty(); ++number) {
    auto put = writer.put_chunk(notification.message.row, number, rest.substr(0, chunk_octets));
    if (!put) return put;
    rest.remove_prefix(std::min(rest.size(), chunk_octets));
  }
  return writer.insert_message(notification.message);
}

void log_notification(const Parts& parts, const Notification& notification) {
  const auto& message = notification.message;
  parts.log.message(MessageEvent::notified, message.id,
                    {{"original", to_string(notification.original)},
                     {"to", message.envelope.recipients.front().address},
                     {"size", static_cast<std::int64_t>(message.size)}});
}

ReadyMessage ready_message(Notification notification) {
  auto& made = notification.message;
  ReadyMessage ready;
  ready.message.row = made.row;
  ready.message.id = made.id;
  ready.message.generation = made.generation;
  ready.message.envelope = std::move(made.envelope);
  ready.message.size = made.size;
  ready.message.is_protected = made.is_protected;
  ready.message.alarm_at = made.alarm_at;
  ready.message.queue = std::move(made.queue);
  ready.body = std::make_shared<const std::string>(std::move(notification.text));
  return ready;
}

}  // namespace umbra::hub
