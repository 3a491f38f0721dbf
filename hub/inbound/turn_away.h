// The last word to a client that gets no session: written within a few seconds, then the connection is
// closed. After a 554 in place of the greeting the client has the word until it says QUIT (RFC 5321
// section 3.1), within the same seconds.
#pragma once

#include <memory>

#include "hub/logs/session_record.h"
#include "hub/net/runtime.h"
#include "hub/net/stream.h"
#include "smtp/reply.h"

namespace umbra::hub {

/// More clients than this at once, of one caller, are closed without a word.
inline constexpr std::size_t turning_away_max = 100;

/// `records`: null, or it outlives the coroutine. `facts`: as its records name the connection.
Task<void> turn_away(asio::io_context& io, std::unique_ptr<Stream> stream, smtp::Reply reply,
                     std::shared_ptr<std::size_t> turning_away, SessionRecords* records, SessionFacts facts);

}  // namespace umbra::hub
