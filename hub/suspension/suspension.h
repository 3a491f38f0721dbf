// What is suspended, as plain data, and how it is written in the spool.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace umbra::hub {

struct Suspension {
  enum class What : std::uint8_t {
    listener,
    delivery,  ///< to a destination
    domain,    ///< delivery to recipients of a domain, wherever they go
    sender     ///< delivery of mail of a sender
  };
  static constexpr std::array all_kinds = {What::listener, What::delivery, What::domain, What::sender};
  What what = What::delivery;
  /// A listener's; a destination as `umbra queue show` names it; "*": all of these. A domain.
  /// "user@example.com", "@example.com" (all of the domain), "<>".
  std::string name = {};
  WallTime since = {};
  WallTime until = WallTime::max();  ///< max(): until it is resumed
  std::string reason = {};
  bool operator==(const Suspension&) const = default;
};
std::string_view to_string(Suspension::What what);
std::optional<Suspension::What> suspension_kind(std::string_view name);
/// In words, what a name of that kind looks like, where `name` does not; empty: it does.
std::string wrong_name(Suspension::What what, std::string_view name);

/// Mail on its way, as a suspension sees it.
struct MailPath {
  std::string_view destination;
  std::string_view sender;  ///< empty: the null sender
  std::string_view recipient;
};
/// That mail is not delivered while the suspension lasts. Letters of either case are the same in domains and
/// in senders.
bool holds_back(const Suspension& suspension, const MailPath& path);

struct SuspensionList {
  std::vector<Suspension> now = {};
  /// Deliveries that were suspended once: what waited then is as much younger. `until` is when they ended.
  std::vector<Suspension> past = {};
};
/// One JSON text.
std::string to_text(const SuspensionList& list);
/// Errors: not such a text.
Result<SuspensionList> parse_suspensions(const std::string& text);

}  // namespace umbra::hub
