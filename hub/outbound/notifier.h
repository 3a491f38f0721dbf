// Makes delivery status notifications as new messages of this hub (RFC 3461 section 5 and 6): who gets one,
// and with what of the original. The recorder and the alarms put them into the spool, in the same commit as
// what they tell about.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hub/outbound/parts.h"
#include "smtp/delivery_status.h"

namespace umbra::hub {

/// Octets of an original that are returned at most; a longer one is returned as its header, whatever RET
/// said.
inline constexpr std::size_t returned_octets_max = 256U << 10;

struct Notification {
  storage::NewMessage message;
  std::string text;
  MessageId original = {};  ///< what it tells about
};

/// How much of the original must be read for a notification: at most so many octets of the front of the body.
std::size_t wanted_of_body(const storage::StoredMessage& original, bool has_failure);

/// `front`: the first octets of the body, as many as wanted_of_body() said (fewer if it is shorter). Nothing
/// when the original has the null sender, or `recipients` is empty.
std::optional<Notification> make_notification(Parts& parts, const storage::StoredMessage& original,
                                              std::vector<smtp::DsnRecipient> recipients,
                                              std::string_view front);

/// Body and message, inside a commit.
Result<void> insert(storage::Writer& writer, const Notification& notification);

/// Now that it is in the spool.
void log_notification(const Parts& parts, const Notification& notification);

/// The message as it is in the spool after insert(), to be delivered.
ReadyMessage ready_message(Notification notification);

}  // namespace umbra::hub
