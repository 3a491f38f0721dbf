// What a hand-over carries besides the body: envelope, due times and attempts, what is known of each
// recipient, hold and alarm, and who holds copies of the generation before. One binary form (docs/xshadow.md
// section 12).
#pragma once

#include "storage/spool.h"

namespace umbra::hub {

struct HandOverRecord {
  Envelope envelope;
  bool is_held = false;
  WallTime alarm_at{};
  std::vector<storage::QueueEntry> queue;
  std::vector<storage::RecipientOutcome> progress;
  std::vector<storage::Holder> holders;  ///< of the generation before; the receiver is not among them
  std::vector<OwnerRecord>
      history{};             ///< of the generations before; sent to hubs that offer XNOTE, else empty
  std::string last_error{};  ///< with it
  std::string next_hop{};    ///< as in StoredMessage; sent to hubs that offer XNEXTHOP, else empty
};

std::string encode(const HandOverRecord& record);
/// Of another hub, hostile until read: what cannot be is an error.
Result<HandOverRecord> decode_hand_over(std::string_view octets);

}  // namespace umbra::hub
