#include "base/random.h"

#include <sys/random.h>

#include "base/result.h"

namespace umbra {

std::uint64_t SystemRandom::next() {
  std::uint64_t value = 0;
  UMBRA_ASSERT(getrandom(&value, sizeof value, 0) == static_cast<ssize_t>(sizeof value));
  return value;
}

}  // namespace umbra
