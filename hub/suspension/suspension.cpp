// What a suspension is about.
#include "hub/suspension/suspension.h"

#include "hub/address_match.h"
#include "hub/config/units.h"
#include "smtp/address.h"

namespace umbra::hub {
std::string_view to_string(Suspension::What what) {
  switch (what) {
    case Suspension::What::listener:
      return "listener";
    case Suspension::What::delivery:
      return "delivery";
    case Suspension::What::domain:
      return "domain";
    case Suspension::What::sender:
      return "sender";
  }
  return "unknown";
}

std::optional<Suspension::What> suspension_kind(std::string_view name) {
  for (auto what : Suspension::all_kinds)
    if (to_string(what) == name) return what;
  return std::nullopt;
}

std::string wrong_name(Suspension::What what, std::string_view name) {
  if (what == Suspension::What::domain && !is_domain_name(name))
    return "expected a domain such as example.com; for all mail, suspend delivery";
  const bool is_good_sender =
      name == "<>" ||
      (name.starts_with('@') ? is_domain_name(name.substr(1)) : smtp::is_mailbox(name, smtp::Utf8::allowed));
  if (what == Suspension::What::sender && !is_good_sender)
    return "expected user@example.com, @example.com (everybody there) or <> (reports); for all mail, suspend "
           "delivery";
  return {};
}

bool holds_back(const Suspension& suspension, const MailPath& path) {
  switch (suspension.what) {
    case Suspension::What::listener:
      return false;
    case Suspension::What::delivery:
      return suspension.name == "*" || suspension.name == path.destination;
    case Suspension::What::domain:
      return smtp::equals_ignoring_case(suspension.name, smtp::domain_of(path.recipient));
    case Suspension::What::sender:
      return matches_address(path.sender, suspension.name);
  }
  return false;
}

}  // namespace umbra::hub
