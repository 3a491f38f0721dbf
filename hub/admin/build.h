// What this program was made of: for `umbra_build_info`.
#pragma once

#include <string>

namespace umbra::hub {

struct Build {
  std::string commit;  ///< of the source, 12 digits (changes that are not committed do not show); "unknown"
                       ///< where it was built without its repository
  std::string sqlite;
  std::string boost;
  std::string openssl;
};
Build this_build();

}  // namespace umbra::hub
