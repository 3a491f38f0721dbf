// What a content filter answers, strictly parsed: whether the message goes on, and what is to be changed of
// it. Whatever does not follow the protocol, or would break out of its place in the message (a line end in a
// header, an address that is none), is no answer. Pure functions.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/envelope.h"
#include "smtp/milter/packet.h"
#include "smtp/reply.h"

namespace umbra::milter {

/// One change, wanted at the end of the message.
struct Edit {
  enum class Kind : std::uint8_t {
    add_header,     ///< below all others
    insert_header,  ///< before the field with that number from 1; 0 and 1: above all others
    change_header,  ///< the `index`-th from 1 of that name; an empty value removes it; one that is not there
                    ///< is added
    add_recipient,
    delete_recipient,
    change_sender,
    quarantine  ///< `value`: why
  };
  Kind kind = Kind::add_header;
  std::uint32_t index = 0;
  std::string name = {};     ///< of a header
  std::string value = {};    ///< of a header, folded by "\n" before a blank; of a quarantine
  Recipient recipient = {};  ///< to add (with NOTIFY and ORCPT), or whose address is deleted
  std::string sender = {};   ///< empty: the null sender
  bool operator==(const Edit&) const = default;
};

struct Answer {
  enum class Kind : std::uint8_t {
    proceed,
    accept,  ///< the filter wants to see no more of the message
    refuse,  ///< with `reply`
    discard,
    skip,          ///< no more of the body
    progress,      ///< wait longer
    failed,        ///< the filter says that it cannot
    replace_body,  ///< `body` is the next piece
    edit
  };
  Kind kind = Kind::proceed;
  smtp::Reply reply = {};
  Edit edit = {};
  std::string body = {};
};

/// The error says what is wrong with it, for the log.
std::expected<Answer, std::string> parse_answer(Packet packet);

/// "550 5.7.1 text", as a filter gives it: a code of 400 to 599, the same in every line ("550-..." CRLF "550
/// ..."), an enhanced code of that class or none (then 4.7.1 or 5.7.1), printable text. 421 becomes 451: the
/// client's connection does not end with one message.
std::expected<smtp::Reply, std::string> parse_reply(std::string_view text);

/// What changes of this kind a filter must have asked for, as flags of Action: one of them is enough.
std::uint32_t action_for(Edit::Kind kind);

}  // namespace umbra::milter
