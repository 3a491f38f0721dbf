// The port between an inbound session and what makes a message safe. A session opens an Acceptance when data
// begins, streams the body into it, and asks it for the reply at the end of data. Implemented by
// hub/inbound/acceptor.h: own spool and shadow copy side by side, then the reply.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/envelope.h"
#include "base/ids.h"
#include "hub/config/config.h"
#include "hub/net/task.h"
#include "smtp/reply.h"

namespace umbra::hub {

/// One message on its way in. Owned by the session's coroutine. Destroying it before finish() or abandon()
/// has returned is a broken invariant.
class Acceptance {
 public:
  virtual ~Acceptance() = default;
  /// The id the message will have; the session puts it into the Received field.
  [[nodiscard]] virtual MessageId id() const = 0;
  /// More of the message: decoded octets (dot-unstuffed, CRLF line ends); the first call gives the trace
  /// header, as a whole. Waits when the spool is behind: that is the back pressure on a fast client. A
  /// failure is remembered and answered by finish().
  virtual Task<void> append(std::string_view octets) = 0;
  /// Before the first append(): the envelope is this one instead (a content filter has changed it).
  virtual void change_envelope(Envelope envelope) = 0;
  /// Before the first append(): it is accepted, copied and kept as one that is held, from its first moment on
  /// each of its hubs. `why` is shown.
  virtual void hold(std::string why) = 0;
  /// Before the first append(): that message, which waited for its content filters, ends in the same commit
  /// in which this one begins, and its copies are needed until this one has its own.
  virtual void replaces(RowId waiting) = 0;
  /// Before finish(): octets above 127 came though BODY=8BITMIME was not said; the stored envelope shall say
  /// body_8bit.
  virtual void note_8bit() = 0;
  /// Before finish(): who has logged on, for the log.
  virtual void note_user(std::string_view) {}
  /// End of data. Returns the reply to send, true to what happened (250 only when durable everywhere the
  /// policy asks for). A reply with code 0: say nothing, close the connection (the fate of a copy elsewhere
  /// is not known).
  virtual Task<smtp::Reply> finish() = 0;
  /// After finish(): what the records of the session shall say of it; empty: nothing.
  [[nodiscard]] virtual std::string remark() const { return {}; }
  /// The client went away, or the message is refused: nothing of it is kept.
  virtual Task<void> abandon() = 0;
};

/// The reply when the spool could not take a message: 452 4.3.1 on a full disk, else 451 4.3.0.
smtp::Reply failure_reply(const Error& error);

class MessageIntake {
 public:
  virtual ~MessageIntake() = default;
  /// Asked at MAIL FROM, with the announced size (0: none): a reply when mail cannot be taken now (452 4.3.1
  /// on a full disk, 451 when the spool is unhealthy, 421 4.3.2 when closing), nothing when it can.
  virtual std::optional<smtp::Reply> refuse(std::uint64_t announced_octets) = 0;
  /// Asked at MAIL FROM too: a reply when this client's mail cannot be taken now.
  virtual std::optional<smtp::Reply> refuse_client(const ListenerConfig& /*listener*/,
                                                   std::string_view /*client*/) {
    return std::nullopt;
  }
  /// `envelope` is complete but for accepted_at and expires_at.
  /// `listener` says how the message is to be protected; it outlives the acceptance.
  virtual std::unique_ptr<Acceptance> begin(Envelope envelope, const ListenerConfig& listener) = 0;
};

}  // namespace umbra::hub
