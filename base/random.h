// Randomness, passed in: the kernel's in production, a seeded generator in simulation.
#pragma once

#include <cstdint>
#include <string>

namespace umbra {

class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
  /// Uniform in [0, bound); bound > 0.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
};

/// Cryptographic randomness of the kernel (getrandom(2)). Thread-safe.
class SystemRandom final : public Random {
 public:
  std::uint64_t next() override;
};

}  // namespace umbra
