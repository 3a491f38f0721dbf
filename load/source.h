// The `umbra-load source` command: many SMTP sessions on one thread that send numbered messages and write
// down what became of each. A message that was refused with 4xx, or whose connection was lost, is tried again
// at another target with the same token; one whose fate is unknown is written down as undecided first (RFC
// 1047).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace umbra::load {

struct SourceCommand {
  std::vector<std::string> targets;
  std::uint32_t sessions = 1;
  std::uint64_t messages = 1;
  double rate = 0;               ///< messages per second over all sessions; 0: as fast as they are taken
  std::size_t size = 4096;       ///< octets of a message, header included
  std::uint32_t recipients = 1;  ///< per message
  bool fresh_connections = false;
  bool pipelining = true;  ///< where offered
  bool chunking = false;   ///< BDAT instead of DATA, where offered
  bool verify = false;     ///< announce a checksum of the body
  bool token_in_recipient = false;
  std::string from = "load@source.example";  ///< empty: the null sender
  std::string to_domain = "sink.example";
  std::string to_user = "load";
  std::string helo = "source.example";
  std::string mail_parameters;  ///< appended to MAIL FROM
  std::string rcpt_parameters;  ///< appended to RCPT TO
  std::string ledger;
  std::string json;
  std::uint32_t timeout_ms = 60'000;  ///< for a connection or one reply
  std::uint32_t give_up_ms =
      120'000;  ///< after a message's first attempt no new one is made once this has passed
  bool quiet = false;
};

/// Exit code: 0 every message was acknowledged; 1 some were refused or abandoned; 2 it could not run.
int run_source(const SourceCommand& command);

}  // namespace umbra::load
