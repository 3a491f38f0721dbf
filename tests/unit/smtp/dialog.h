// clang-format off
// Dialog files: SMTP conversations that anyone can read and extend (tests/unit/smtp/dialogs/*.dialog).
//
//   # a comment              at the beginning of a line
//   limit recipients 2       also: message, line, header, hops, own_hops, command, errors; auth 1 (offered), auth 2 (required); before anything is said
//   relay no                 recipients are refused with 550 5.7.1 from here on (nobody@... always is)
//   answer 451 4.3.0 text    the reply to the next messages
//   refuse 452 4.3.1 text    the reply to the next MAIL commands; "refuse" alone: no more
//   C: text                  the client sends text and CRLF
//   c: text                  the client sends text
//   S: text                  the server says exactly this line
//   S~ regex                 the server says a line that the whole regular expression matches
//   M: text                  a line of the message kept last; consecutive ones are the whole of it
//   sender text              of the message kept last
//   recipients text          likewise, separated by blanks
//   kept 1                   so many messages were kept until now
//   closed                   the server closes the connection
//
// In C:, c: and M: these stand for octets: \r \n \t \0 \\ \xHH, and \{1000*ab} for repeated text. Lines of the client
// that follow one another are sent together. Each dialog is run whole and cut into pieces of 1, 2, 3 and 7 octets.
// clang-format on
#pragma once

#include <string>

namespace umbra::smtp::testing {

/// Runs a dialog; returns what went wrong ("file:line: ..."), or nothing.
std::string run_dialog(const std::string& file, std::size_t piece_octets);

}  // namespace umbra::smtp::testing
