// The version of the product: the one in CMakeLists.txt (tests/tidy compares the two).
#pragma once

namespace umbra::hub {

inline constexpr const char* version = "0.1.0";

}  // namespace umbra::hub
