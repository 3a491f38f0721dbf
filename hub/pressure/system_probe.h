// The machine's own figures: file system, memory (with the limits of the process's cgroup, v1 or v2) and file
// descriptors, from statvfs(2) and /proc. What cannot be read is left out.
#pragma once

#include <string>

#include "hub/pressure/probe.h"

namespace umbra::hub {

class SystemProbe final : public PressureProbe {
 public:
  /// `directory` is the spool's. `root` is where /proc and /sys are looked for (a test gives a folder).
  explicit SystemProbe(std::string directory, std::string root = "");
  Reading read() override;

 private:
  void read_disk(Reading& reading) const;
  void read_memory(Reading& reading) const;
  void read_descriptors(Reading& reading) const;

  std::string directory_;
  std::string root_;
  std::optional<std::uint64_t> memory_limit_;  ///< of the cgroup, read once
};

}  // namespace umbra::hub
