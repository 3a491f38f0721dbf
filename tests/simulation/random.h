// Seeded randomness: one master seed per run, forked by name, so that one more draw in one part shifts no
// other part.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"

namespace umbra::simulation {

/// xoshiro256** seeded by splitmix64. Not for secrets.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : seed_(seed) {
    for (auto& word : state_) word = split_mix(seed);
  }

  std::uint64_t next() override {
    auto result = rotate(state_[1] * 5, 7) * 9;
    auto t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  /// A generator of its own for one part of the run; takes no draw from this one.
  [[nodiscard]] SeededRandom fork(std::string_view part) const {
    std::uint64_t hash = 0xcbf29ce484222325ULL ^ seed_;
    for (char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return SeededRandom(split_mix(hash));
  }

  /// True `per_mille` times of 1,000.
  bool chance(std::uint64_t per_mille) { return below(1000) < per_mille; }
  /// Uniform in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low + 1)));
  }
  Duration between(Duration low, Duration high) { return Duration{between(low.count(), high.count())}; }

 private:
  static std::uint64_t split_mix(std::uint64_t& x) {
    auto z = (x += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  static std::uint64_t rotate(std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  std::uint64_t seed_;
  std::uint64_t state_[4];
};

}  // namespace umbra::simulation
