// Which addresses an operator means: in suspensions, searches of the queue and of the safety net, and traces.
#pragma once

#include <string_view>

namespace umbra::hub {

/// `wanted`: an address, "@domain" (everybody there, but nobody of a domain below), "<>" (the null sender,
/// which a tracking log writes so), or empty (any). Letters of either case are the same.
bool matches_address(std::string_view address, std::string_view wanted);

}  // namespace umbra::hub
