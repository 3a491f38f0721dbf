// One message put before one content filter, stage by stage: connect, HELO, MAIL, each RCPT, DATA, each
// header, end of header, the body in pieces, end of message. All stages are played when the message is there
// as a whole. Octets in, octets out: no socket and no clock; the driver (hub/filter) moves octets and keeps
// the deadlines. Called by hub/filter/milter_client and the fuzzer.
//
// Bounded: a filter may want edits_max changes of edit_octets_max octets in all; pieces of a new body are
// handed out one by one. Whatever a filter says that it must not say at that moment ends the conversation as
// `failed`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "smtp/milter/answer.h"
#include "smtp/milter/header_section.h"
#include "smtp/milter/packet.h"

namespace umbra::milter {

/// What the filter is told of a message. The references must outlive the conversation.
struct Facts {
  std::string host_name;  ///< ours
  std::string listener;
  std::string client_address;  ///< a literal; empty: none is known
  std::string client_name;
  std::string id;
  std::uint64_t octets = 0;  ///< of the message
  const Envelope& envelope;
  const HeaderSection& header;
};

/// A connection with a filter, over several messages of one client: negotiation, connect and HELO are said
/// once. (For another client there is "quit, new connection" in the protocol; libmilter 8.17 answers nothing
/// after it, so a new connection is what it takes.)
class Channel {
 public:
  [[nodiscard]] bool is_negotiated() const { return version_ != 0; }
  /// Another message of that client can follow on it.
  [[nodiscard]] bool is_reusable() const {
    return is_reusable_ && !reader_.is_malformed() && !reader_.has_rest();
  }

 private:
  friend class Conversation;
  PacketReader reader_;
  std::uint32_t version_ = 0;
  std::uint32_t actions_ = 0;
  std::uint32_t protocol_ = 0;
  bool is_reusable_ = false;
};

class Conversation {
 public:
  static constexpr std::size_t edits_max = 2000;
  static constexpr std::size_t edit_octets_max = 1U << 20;

  enum class Want : std::uint8_t {
    input,        ///< write output(), then feed() what comes
    body,         ///< give body() the next piece
    replacement,  ///< take replacement(), the next piece of another body; then next() again
    over          ///< write what is left of output(); outcome() is there
  };
  enum class Stage : std::uint8_t {
    negotiation,
    command,
    content,
    end
  };  ///< what is waited for, for the deadline

  enum class Verdict : std::uint8_t { none, pass, refuse, discard, failed };
  struct Outcome {
    Verdict verdict = Verdict::none;
    smtp::Reply reply = {};        ///< refuse
    std::string problem = {};      ///< failed
    std::vector<Edit> edits = {};  ///< pass, in order
    bool has_new_body = false;     ///< pass
  };

  /// `actions`: the changes that are offered to the filter. A channel that is negotiated already is one of
  /// the same client.
  Conversation(Channel& channel, Facts facts, std::uint32_t actions);

  Want next();
  void feed(std::string_view octets) { channel_.reader_.feed(octets); }
  /// At most data_octets_max octets; empty: the body has ended.
  void body(std::string_view piece);
  [[nodiscard]] std::string take_replacement() { return std::exchange(replacement_, {}); }
  [[nodiscard]] std::string& output() { return output_; }
  [[nodiscard]] Stage stage() const;
  [[nodiscard]] std::string_view stage_name() const;
  [[nodiscard]] const Outcome& outcome() const { return outcome_; }
  Outcome& outcome() { return outcome_; }
  /// Values of headers are told and taken with the blank behind the colon.
  [[nodiscard]] bool has_leading_space() const { return (channel_.protocol_ & leading_space) != 0; }

 private:
  enum class Step : std::uint8_t {
    negotiate,
    connect,
    hello,
    sender,
    recipient,
    data,
    header,
    end_of_header,
    body,
    end_of_body,
    over
  };

  /// Says what the present step has to say. True: an answer has to come.
  bool say();
  bool command(Command command, std::string_view data, std::uint32_t unwanted, std::uint32_t silent);
  void macros(Command command, std::string_view values);
  void advance();
  void take(Packet packet);
  void take_negotiation(const Packet& packet);
  void take_edit(Edit edit);
  void fail(std::string problem);
  void end(Verdict verdict);
  [[nodiscard]] bool wants(std::uint32_t unwanted) const { return (channel_.protocol_ & unwanted) == 0; }

  Channel& channel_;
  Facts facts_;
  std::uint32_t offered_;
  Step step_;
  std::size_t index_ = 0;  ///< of the recipient or header
  bool is_waiting_ = false;
  std::size_t edit_octets_ = 0;
  bool has_replacement_ = false;
  std::string replacement_;
  std::string output_;
  Outcome outcome_;
};

}  // namespace umbra::milter
