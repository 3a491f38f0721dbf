// One command line to one Command, or to the exact reply that says what is wrong with it. Called by
// ReceiveSession with each line; also by the fuzzer. Strict about RFC 5321 section 4.1.1: no blank beside the
// colon, addresses in angle brackets, known parameters once each. Tolerated, as section 4.1.1 asks: trailing
// blanks, commands in any case.
#pragma once

#include <expected>
#include <string_view>

#include "smtp/command.h"

namespace umbra::smtp {

/// `line` is without its CRLF. Replies: 500 5.5.2 not a command, 501 5.5.2 / 5.5.4 bad arguments, 501 5.1.7
/// bad sender, 501 5.1.3 bad recipient, 502 5.5.1 known but not offered, 552 5.3.4 announced size too big,
/// 553 5.6.7 UTF-8 without SMTPUTF8, 555 5.5.4 parameter not known.
std::expected<Command, CommandProblem> parse_command(std::string_view line, const CommandContext& context);

}  // namespace umbra::smtp
