// One message on its way to one destination: in memory from the moment it is handed over or loaded until its
// outcome is recorded. Shared by the scheduler (which owns it), a connection (which sends it) and the
// recorder.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hub/outbound/acknowledgement.h"
#include "hub/outbound/outbound.h"
#include "smtp/send_session.h"

namespace umbra::hub {

struct Destination;

struct Job {
  enum class State : std::uint8_t {
    ready,      ///< waits for a connection
    sending,    ///< with a connection; nothing irrevocable was sent
    ending,     ///< the end of data was sent, the reply is awaited
    recording,  ///< the outcome is known and is being made durable
    over
  };
  std::shared_ptr<const storage::StoredMessage> message;
  std::shared_ptr<const std::string> body;  ///< null: read from the spool in chunks
  std::vector<std::uint32_t> recipients;    ///< that go to this destination and are pending, ascending
  Destination* destination = nullptr;       ///< outlives the job
  const std::string* destination_name = nullptr;
  std::uint32_t attempts = 0;  ///< before this one
  MonotonicTime ready_since{};
  MonotonicTime sending_since{};   ///< of the attempt under way: MAIL was said
  std::vector<std::string> avoid;  ///< hosts that answered 4xx to it in this attempt
  State state = State::ready;
  bool is_forgotten = false;
  bool is_withdrawn = false;                     ///< its end of data was to be sent, and was not
  bool is_marked = false;                        ///< in storage::AttemptMarks
  bool has_outcome = false;                      ///< it was recorded
  bool is_held_back = false;                     ///< the guard has said `later`
  std::uint32_t times_held_back = 0;             ///< in this attempt
  bool is_counted = false;                       ///< as a possible duplicate, in this attempt
  bool is_converted = false;                     ///< `body` is a 7-bit form, not what is in the spool
  std::uint64_t octets = 0;                      ///< counted against ready_octets_max
  AcknowledgementPtr acknowledgement = nullptr;  ///< null: not known to this run
  std::string front;                             ///< goes in front of the body in this attempt

  [[nodiscard]] RowId row() const { return message->row; }
  [[nodiscard]] const Envelope& envelope() const { return message->envelope; }
};
using JobPtr = std::shared_ptr<Job>;

/// A result for all recipients of a job that was decided without asking a next hop.
inline smtp::TransactionResult result_for_all(const Job& job, smtp::RecipientResult::State state,
                                              const smtp::Reply& reply) {
  smtp::TransactionResult result;
  for (auto index : job.recipients)
    result.recipients.push_back({index, state, smtp::SendStage::connection, reply});
  return result;
}

}  // namespace umbra::hub
