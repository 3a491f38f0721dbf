// A histogram of latencies with a bounded error: below 256 us exact, above within 1 part in 128. About 30 KB,
// whatever the number of values.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace umbra::load {

class Latencies {
 public:
  void add(std::uint64_t us) {
    ++counts_[index(us)];
    ++count_;
    sum_ += us;
    if (us > max_) max_ = us;
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  [[nodiscard]] double mean() const {
    return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

  /// The value that `share` (0..1) of all values do not exceed, in us; 0 when there are none.
  [[nodiscard]] std::uint64_t quantile(double share) const {
    if (count_ == 0) return 0;
    auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    if (static_cast<double>(wanted) < share * static_cast<double>(count_)) ++wanted;
    if (wanted == 0) wanted = 1;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= wanted) return upper(i) < max_ ? upper(i) : max_;
    }
    return max_;
  }

 private:
  static constexpr unsigned exact_bits = 8;  // values below 2^8 have a bucket each
  static constexpr unsigned sub_bits = 7;    // above: 2^7 buckets per power of two
  static constexpr std::size_t index(std::uint64_t us) {
    if (us < (1U << exact_bits)) return static_cast<std::size_t>(us);
    if (us >= (1ULL << 40)) us = (1ULL << 40) - 1;
    auto power = static_cast<unsigned>(std::bit_width(us)) - 1;  // >= 8
    auto sub = (us >> (power - sub_bits)) & ((1U << sub_bits) - 1);
    return (1U << exact_bits) + (power - exact_bits) * (1U << sub_bits) + static_cast<std::size_t>(sub);
  }
  static constexpr std::uint64_t upper(std::size_t i) {
    if (i < (1U << exact_bits)) return i;
    auto rest = i - (1U << exact_bits);
    auto power = exact_bits + static_cast<unsigned>(rest >> sub_bits);
    auto sub = (rest & ((1U << sub_bits) - 1)) + (1U << sub_bits);
    return ((static_cast<std::uint64_t>(sub) + 1) << (power - sub_bits)) - 1;
  }

  std::array<std::uint64_t, (1U << exact_bits) + (40 - exact_bits) * (1U << sub_bits)> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace umbra::load
