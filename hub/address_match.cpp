#include "hub/address_match.h"

#include "smtp/address.h"

namespace umbra::hub {

bool matches_address(std::string_view address, std::string_view wanted) {
  if (wanted.empty()) return true;
  if (wanted == "<>") return address.empty() || address == "<>";
  if (wanted.starts_with('@')) return smtp::equals_ignoring_case(smtp::domain_of(address), wanted.substr(1));
  return smtp::equals_ignoring_case(address, wanted);
}

}  // namespace umbra::hub
