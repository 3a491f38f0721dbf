#include "storage/suspects.h"

namespace umbra::storage {

std::vector<Suspect> Suspects::list(std::size_t limit) {
  std::vector<Suspect> result;
  auto rows = list_.rows(std::uint64_t{limit});
  while (rows.next())
    result.push_back({{SpoolId{rows.unsigned_number(0)}, rows.unsigned_number(1)},
                      static_cast<std::uint32_t>(rows.number(2))});
  return result;
}

}  // namespace umbra::storage
