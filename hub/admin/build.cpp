#include "hub/admin/build.h"

#include <openssl/crypto.h>

#include <boost/version.hpp>
#include "storage/sqlite_version.h"

// Set for this file alone (hub/CMakeLists.txt), so that a commit recompiles nothing else.
#ifndef UMBRA_COMMIT
#define UMBRA_COMMIT "unknown"
#endif

namespace umbra::hub {

Build this_build() {
  std::string boost = std::to_string(BOOST_VERSION / 100000) + "." +
                      std::to_string(BOOST_VERSION / 100 % 1000) + "." + std::to_string(BOOST_VERSION % 100);
  return {UMBRA_COMMIT, storage::sqlite_version(), std::move(boost), OpenSSL_version(OPENSSL_VERSION_STRING)};
}

}  // namespace umbra::hub
