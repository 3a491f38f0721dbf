// Matches what sources were promised against what sinks received: the counts of a Jepsen total-queue check.
// One unit is one message to one recipient. Fed with the lines of ledger files (load/ledger_file.h) in any
// order.
//
//   attempted     units that a source tried at least once
//   acknowledged  units whose final reply was 2xx
//   delivered     different attempted units that a sink took with 250
//   lost          acknowledged, but neither delivered nor rejected by a sink with 5xx
//   unexpected    deliveries of a token or recipient that no source ever tried
//   duplicated    units delivered more than once; of these, `resent` were tried again by the source after an
//   attempt that
//                 it could not know the fate of (RFC 1047), `unexplained` were not
//   recovered     delivered though never acknowledged
//   undecided     not acknowledged, and at least one attempt ended after the final dot without a reply
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace umbra::load {

struct LedgerCounts {
  std::uint64_t attempted = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t delivered = 0;
  std::uint64_t lost = 0;
  std::uint64_t unexpected = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t duplicated_resent = 0;
  std::uint64_t duplicated_unexplained = 0;
  std::uint64_t duplicate_deliveries = 0;  ///< deliveries beyond the first of their unit
  std::uint64_t recovered = 0;
  std::uint64_t undecided = 0;
  std::uint64_t rejected_by_sink = 0;  ///< acknowledged units that ended with a 5xx of the sink
  std::uint64_t withheld = 0;          ///< times a sink took mail without saying so
  std::uint64_t messages_acknowledged = 0;
  std::uint64_t without_token = 0;  ///< deliveries that carry no token (notifications and the like)
  std::uint64_t unreadable_lines = 0;
};

/// A unit worth naming: "token/recipient index", the reply that acknowledged it, and how often it was
/// delivered.
struct NamedUnit {
  std::string token;
  std::uint32_t recipient = 0;
  std::string acknowledgement;
  std::uint32_t deliveries = 0;
  bool resent = false;
};

struct LedgerReport {
  LedgerCounts counts;
  std::vector<NamedUnit> lost;        ///< the first ones
  std::vector<NamedUnit> duplicated;  ///< the first ones
  std::vector<std::string> unexpected;
  [[nodiscard]] bool ok() const { return counts.lost == 0 && counts.unexpected == 0; }
};

class LedgerCheck {
 public:
  void add_source_line(std::string_view line);
  void add_sink_line(std::string_view line);
  /// Names at most `named_max` units of each kind, in order of their tokens.
  [[nodiscard]] LedgerReport report(std::size_t named_max = 20) const;

 private:
  struct Message {
    std::uint32_t recipients = 0;
    std::uint32_t attempts = 0;
    bool acknowledged = false;
    bool undecided = false;
    std::vector<std::uint32_t> refused;  ///< recipients that the acknowledgement does not cover
    std::string acknowledgement;
    std::vector<std::uint16_t> deliveries;  ///< by recipient
    std::vector<std::uint32_t> rejected;
  };
  Message& message(std::string_view token);

  std::unordered_map<std::string, Message> messages_;
  std::vector<std::pair<std::string, std::string>> deliveries_;  ///< token, recipient: matched at the end
  std::vector<std::pair<std::string, std::string>> rejections_;
  std::uint64_t withheld_ = 0;
  std::uint64_t without_token_ = 0;
  std::uint64_t unreadable_ = 0;
};

/// The recipient index in a local part as the source makes it: "load-7@..." or "load-7.TOKEN@..." give 7;
/// npos when there is none.
inline constexpr std::uint32_t no_recipient = 0xffffffffU;
std::uint32_t recipient_index(std::string_view address);

}  // namespace umbra::load
