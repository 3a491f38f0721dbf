#include "hub/percent.h"

#include <boost/url/encode.hpp>
#include <boost/url/pct_string_view.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>

namespace umbra::hub {

std::string percent_encoded(std::string_view text) {
  // Requests of the safety net are compared, and kept in the spool, in this form: it is not to change.
  constexpr auto plain = boost::urls::unreserved_chars - '~' + '@';
  return boost::urls::encode({text.data(), text.size()}, plain);
}

std::optional<std::string> percent_decoded(std::string_view text) {
  auto encoded = boost::urls::make_pct_string_view({text.data(), text.size()});
  if (!encoded) return std::nullopt;
  return encoded->decode();
}

}  // namespace umbra::hub
