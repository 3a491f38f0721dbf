#include "base/result.h"

#include <cstdio>
#include <cstdlib>

namespace umbra {

void invariant_broken(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "umbra: broken invariant at %s:%d: %s\n", file, line, expression);
  std::abort();
}

}  // namespace umbra
