// Which hub is offered a copy: of those that are reachable, the one with least copies under way; among equals, in turn.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace umbra::cluster {

struct Candidate {
  std::string hub;
  bool is_reachable = false;  ///< an authenticated session is open and its promise is fresh
  bool is_refusing = false;   ///< it has just said that it cannot take copies (disk full)
  std::size_t under_way = 0;
};

class Placement {
 public:
  /// Index into `candidates`; nothing when none of them can take a copy. `excluded` are hub names.
  std::optional<std::size_t> choose(std::span<const Candidate> candidates, std::span<const std::string> excluded);

 private:
  std::size_t turn_ = 0;
};

}  // namespace umbra::cluster
