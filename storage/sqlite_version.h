// Of the library that this program runs with.
#pragma once

#include <string>

namespace umbra::storage {

std::string sqlite_version();

}  // namespace umbra::storage
