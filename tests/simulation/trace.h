// What happened in a run, as compact text with virtual time: hashed always, kept for the last lines, printed
// on demand. The hash is how two runs of one seed are compared.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace umbra::simulation {

class Trace {
 public:
  /// `print`: every line goes to standard output as it happens.
  explicit Trace(bool print, std::size_t keep = 400) : print_(print), keep_(keep) {}

  template <class... Args>
  void line(Duration at, std::string_view who, fmt::format_string<Args...> format, Args&&... args) {
    text_.clear();
    auto us = at.count() / 1000;
    fmt::format_to(std::back_inserter(text_), "{:4}.{:06} {} ", us / 1'000'000, us % 1'000'000, who);
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    add();
  }

  /// Goes into the hash only: for what happens too often to be written.
  void mix(std::uint64_t number) { hash_ = (hash_ ^ number) * 0x100000001b3ULL; }

  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] std::uint64_t lines() const { return lines_; }
  [[nodiscard]] const std::deque<std::string>& last() const { return last_; }

 private:
  void add();

  bool print_;
  std::size_t keep_;
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
  std::uint64_t lines_ = 0;
  std::string text_;
  std::deque<std::string> last_;
};

}  // namespace umbra::simulation
